//! The process is stopped while clients send: what they have heard of is there, once.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "these are tests, which fail by it")]

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use service::{PROGRAM, Service};
mod service;

const CLIENTS: usize = 4;

/// Returns whether the note was answered with 201, or fails with its connection.
fn post(address: &str, text: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    let body = format!(r#"{{"text": "{text}"}}"#);
    let length = body.len();
    write!(
        stream,
        "POST /notes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 201"))
}

/// Lets clients send, each until its first failure. Stops the service after 100 notes,
/// starts it again, and compares. Returns the exit code.
fn stop_under_load(stop: impl FnOnce(&mut Service)) -> Option<i32> {
    let mut service = Service::start(&[]);
    let (acknowledges, acknowledged) = mpsc::channel();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (acknowledges, address) = (acknowledges.clone(), service.address.clone());
            thread::spawn(move || {
                for number in 0.. {
                    let text = format!("{client}-{number}");
                    let Ok(true) = post(&address, &text) else {
                        break;
                    };
                    acknowledges.send(text).unwrap();
                }
            })
        })
        .collect();
    drop(acknowledges);
    let mut heard: Vec<_> = acknowledged.iter().take(100).collect();
    assert_eq!(heard.len(), 100, "the clients were still sending");
    stop(&mut service);
    heard.extend(acknowledged);
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());
    let (code, _, dir) = service.end_in();

    let service = Service::start_in(dir, &mut Command::new(PROGRAM));
    let db = rusqlite::Connection::open(service.dir.path().join("notes.db")).unwrap();
    let mut all = db.prepare("SELECT text FROM note ORDER BY text").unwrap();
    let all = all.query_map([], |row| row.get(0)).unwrap();
    let mut stored: Vec<String> = all.collect::<Result<_, _>>().unwrap();
    let rows = stored.len();
    stored.dedup();
    assert_eq!(stored.len(), rows, "no note is there twice");
    for text in heard {
        assert!(stored.contains(&text), "{text} was acknowledged");
    }
    // Each client may have sent one more, of which it has not heard.
    code
}

#[test]
fn sigterm_under_load_loses_no_acknowledged_note() {
    assert_eq!(stop_under_load(|service| service.signal()), Some(0));
}

#[test]
fn kill_9_under_load_loses_no_acknowledged_note() {
    assert_eq!(
        stop_under_load(|service| service.process.kill().unwrap()),
        None
    );
}
