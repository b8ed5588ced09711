//! The process is stopped while clients send: what they have heard of is there, once.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "these are tests, which fail by it")]

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;

mod databases;
mod service;
use databases::Empty;
use service::Service;

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
fn stop_under_load(database: Empty, stop: fn(&mut Service)) -> Option<i32> {
    let mut service = Service::start_on(&database.setting, database.dir);
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

    let mut stored = Service::start_on(&database.setting, dir).texts();
    stored.sort();
    let rows = stored.len();
    stored.dedup();
    assert_eq!(stored.len(), rows, "no note is there twice");
    for text in heard {
        assert!(stored.contains(&text), "{text} was acknowledged");
    }
    // Each client may have sent one more, of which it has not heard.
    code
}

#[tokio::test]
async fn sigterm_under_load_loses_no_acknowledged_note() {
    for database in databases::all("sigterm").await {
        let code = stop_under_load(database, |service| service.signal());
        assert_eq!(code, Some(0));
    }
}

#[tokio::test]
async fn kill_9_under_load_loses_no_acknowledged_note() {
    for database in databases::all("kill_9").await {
        let code = stop_under_load(database, |service| service.process.kill().unwrap());
        assert_eq!(code, None);
    }
}
