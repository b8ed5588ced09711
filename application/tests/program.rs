//! The service as a process.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "these are tests, which fail by it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use app::store::Store;
use rustix::process::{Pid, Signal, kill_process};

mod databases;
mod service;
use service::{LAST, PROGRAM, Service, rest};

#[test]
fn a_note_outlives_a_kill_when_the_client_has_heard_of_it() {
    let mut service = Service::start(&[]);
    let said = service.post("first");
    assert!(said.starts_with("HTTP/1.1 201 Created"), "{said}");
    assert!(said.contains("location: /notes/1"), "{said}");
    service.process.kill().unwrap();
    let (_, _, dir) = service.end_in();
    let service = Service::start_in(dir, &mut Command::new(PROGRAM));
    assert_eq!(service.texts(), ["first"]);
    service.terminate();
    assert_eq!(service.end().0, Some(0));
}

#[test]
fn sigterm_lets_the_running_request_end() {
    let service = Service::start(&[]);
    let mut request = service.begin();
    service.terminate();
    request.write_all(LAST.as_bytes()).unwrap();
    let said = rest(request);
    assert!(said.starts_with("HTTP/1.1 201 Created"), "{said}");
    // Otherwise the server would wait for the client's next request.
    assert!(said.contains("connection: close"), "{said}");
    let (code, log, dir) = service.end_in();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        !log.contains("last"),
        "what clients send is not in the log: {log}"
    );
    let service = Service::start_in(dir, &mut Command::new(PROGRAM));
    assert_eq!(service.texts(), ["last"]);
}

#[test]
fn sigint_and_sigterm_stop_an_idle_service() {
    for signal in [Signal::INT, Signal::TERM] {
        let service = Service::start(&[]);
        kill_process(Pid::from_child(&service.process), signal).unwrap();
        let (code, log) = service.end();
        assert_eq!(code, Some(0), "{signal:?} {log}");
    }
}

#[test]
fn a_request_that_does_not_end_is_cut_off_at_the_limit() {
    let service = Service::start(&["--drain", "1"]);
    let _request = service.begin();
    service.terminate();
    let (code, log) = service.end();
    let said = "Error: the requests did not end within 1s";
    assert!(code == Some(1) && log.contains(said), "{code:?} {log}");
}

#[test]
fn a_second_signal_ends_the_waiting() {
    let service = Service::start(&["--drain", "3600"]);
    let _request = service.begin();
    service.terminate();
    service.signal();
    let (code, log) = service.end();
    let said = "Error: stopped by a second signal";
    assert!(code == Some(1) && log.contains(said), "{code:?} {log}");
}

/// During the notice the service answers, and says that it will stop.
#[test]
fn ready_fails_before_the_end_of_accepting() {
    let service = Service::start(&["--notice", "3600"]);
    assert!(service.send("GET /ready", "").starts_with("HTTP/1.1 200"));
    service.signal();
    while !service.send("GET /ready", "").starts_with("HTTP/1.1 503") {}
    assert!(service.post("still").starts_with("HTTP/1.1 201"));
    assert!(service.send("GET /health", "").starts_with("HTTP/1.1 200"));
    service.signal();
    assert_eq!(service.end().0, Some(1));
}

/// Without a pause and a second attempt, the first refusal of the system would end it.
#[test]
#[cfg(target_os = "linux")]
fn without_descriptors_the_service_waits_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    let limited = r#"ulimit -n 40; exec "$0""#;
    let mut service = Service::start_in(dir, command.args(["-c", limited, PROGRAM]));
    let idle: Vec<_> = (0..60).map(|_| service.connect()).collect();
    let mut line = String::new();
    while !line.contains("cannot accept") {
        line.clear();
        assert_ne!(service.log.read_line(&mut line).unwrap(), 0, "it has ended");
    }
    drop(idle);
    assert!(service.post("after").starts_with("HTTP/1.1 201"));
    service.terminate();
    let mut log = String::new();
    service.log.read_to_string(&mut log).unwrap();
    assert_eq!(service.process.wait().unwrap().code(), Some(0), "{log}");
}

/// A limit on the size of files stands for a full disk.
#[test]
#[cfg(target_os = "linux")]
fn after_a_full_disk_the_acknowledged_notes_are_there_and_no_others() {
    let dir = tempfile::tempdir().unwrap();
    let limited = r#"trap '' XFSZ; ulimit -f 100; exec "$0" "$@""#;
    let mut command = Command::new("sh");
    let service = Service::start_in(dir, command.args(["-c", limited, PROGRAM]));
    let mut acknowledged = Vec::new();
    loop {
        let text = format!("{} {}", acknowledged.len(), "x".repeat(900));
        let said = service.post(&text);
        if said.starts_with("HTTP/1.1 500") {
            assert!(said.ends_with(r#"{"code":"internal","message":"internal error"}"#));
            break;
        }
        assert!(said.starts_with("HTTP/1.1 201"), "{said}");
        acknowledged.push(text);
    }
    assert!(!acknowledged.is_empty());
    service.terminate();
    let (code, log, dir) = service.end_in();
    assert!(
        code == Some(0) && log.contains("the store failed: "),
        "{log}"
    );

    let service = Service::start_in(dir, &mut Command::new(PROGRAM));
    assert_eq!(service.texts(), acknowledged);
    assert!(service.post("after").starts_with("HTTP/1.1 201"));
}

/// The store waits for a lock that another connection holds, as for a disk that hangs.
#[test]
fn a_call_that_hangs_does_not_outlive_the_drain() {
    let service = Service::start(&["--drain", "1"]);
    let path = service.dir.path().join("notes.db");
    let other = rusqlite::Connection::open(path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut request = service.begin();
    request.write_all(LAST.as_bytes()).unwrap();
    service.terminate();
    let (code, log) = service.end();
    let said = "Error: the requests did not end within 1s";
    assert!(code == Some(1) && log.contains(said), "{code:?} {log}");
}

#[test]
fn a_signal_ends_a_start_that_hangs() {
    // A database that is locked by another process stops the start for 5 s.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.db");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let mut command = Command::new(PROGRAM);
    command.current_dir(&dir).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    assert!(line.contains("opening"), "{line}");
    kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    line.clear();
    log.read_to_string(&mut line).unwrap();
    assert_eq!(line, "Error: stopped during the start\n");
    assert_eq!(process.wait().unwrap().code(), Some(1));
}

/// The log has the id of the proxy, or a new one, and so has the response.
#[test]
fn a_request_has_one_id_in_the_log_and_in_the_response() {
    let service = Service::start(&[]);
    let head = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let mut stream = service.connect();
    write!(stream, "{head}x-request-id: from-the-proxy\r\n\r\n").unwrap();
    assert!(rest(stream).contains("x-request-id: from-the-proxy\r\n"));
    let said = service.send("GET /nowhere", "");
    let (_, id) = said.split_once("x-request-id: ").expect(&said);
    let id = id.lines().next().unwrap().to_owned();
    service.terminate();
    let (_, log) = service.end();
    for (id, status) in [("from-the-proxy", "200"), (&id, "404")] {
        let mut lines = log.lines();
        let line = lines.find(|line| line.contains(&format!("id={id:?}")));
        let line = line.expect(&log);
        assert!(line.contains(&format!("status={status}")), "{line}");
    }
}

#[test]
fn the_filter_of_the_log_is_heard() {
    let service = Service::start(&["--log", "warn,server=info"]);
    assert!(service.post("first").starts_with("HTTP/1.1 201"));
    service.terminate();
    let (_, log) = service.end();
    assert!(!log.contains("status="), "{log}");
}

#[test]
fn a_client_that_closes_its_sending_half_gets_its_response() {
    let service = Service::start(&[]);
    let mut request = service.begin();
    request.write_all(LAST.as_bytes()).unwrap();
    request.shutdown(Shutdown::Write).unwrap();
    assert!(rest(request).starts_with("HTTP/1.1 201 Created"));
}

/// Each job is done although the process is killed, before it began or while it works.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "nothing else runs here")]
async fn jobs_survive_a_kill() {
    for database in databases::all("jobs_survive").await {
        let (store, _) = Store::open(database.database(), 10).await.unwrap();
        for text in ["one", "and two more", ""] {
            let note = store.add(format!("a note {text}")).await.unwrap();
            assert_eq!(note.words, None, "no worker runs yet");
        }
        drop(store);
        let mut service = Service::start_on(&database.setting, database.dir);
        service.process.kill().unwrap();
        let (_, _, dir) = service.end_in();
        databases::expire("jobs_survive", &database.setting).await;
        let service = Service::start_on(&database.setting, dir);
        let words = || {
            let notes = service.notes();
            let words = notes.iter().map(|note| note["words"].as_i64());
            words.collect::<Vec<_>>()
        };
        while words().contains(&None) {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(words(), [Some(3), Some(5), Some(2)]);
        service.terminate();
        assert_eq!(service.end().0, Some(0));
    }
}
