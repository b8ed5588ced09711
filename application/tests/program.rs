//! The service as a process.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "these are tests, which fail by it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;
use std::{mem, thread};

use app::store::Store;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_server");
/// No machine is so busy that this runs out.
const LIMIT: Duration = Duration::from_secs(30);

/// A running service.
struct Service {
    process: Child,
    log: BufReader<ChildStderr>,
    address: String,
    dir: TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}

impl Service {
    fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start_in(dir, Command::new(PROGRAM).args(arguments))
    }

    fn start_in(dir: TempDir, command: &mut Command) -> Self {
        command.args(["--address", "127.0.0.1:0"]);
        command.current_dir(&dir).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on ") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it has ended");
        }
        let (_, address) = line.trim().split_once("listening on ").unwrap();
        let address = address.to_owned();
        Self {
            process,
            log,
            address,
            dir,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(2 * LIMIT)).unwrap();
        stream
    }

    fn send(&self, head: &str, body: &str) -> String {
        let mut stream = self.connect();
        let length = body.len();
        write!(
            stream,
            "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        rest(stream)
    }

    fn post(&self, text: &str) -> String {
        self.send("POST /notes", &json!({ "text": text }).to_string())
    }

    fn texts(&self) -> Vec<String> {
        let said = self.send("GET /notes?limit=255", "");
        let (_, body) = said.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let notes = body["notes"].as_array().unwrap().iter();
        let text = |note: &Value| note["text"].as_str().unwrap().to_owned();
        notes.map(text).collect()
    }

    /// Begins a request, and returns when its handler waits for the body.
    fn begin(&self) -> TcpStream {
        let mut stream = self.connect();
        let length = LAST.len();
        write!(
            stream,
            "POST /notes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        )
        .unwrap();
        let mut said = [0; 25];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream
    }

    fn signal(&self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
    }

    /// Sends SIGTERM, and returns when new clients are refused.
    #[allow(clippy::disallowed_methods, reason = "there is no runtime to block")]
    fn terminate(&self) {
        self.signal();
        while TcpStream::connect(&self.address).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the exit code, the rest of the log, and the folder.
    fn end_in(mut self) -> (Option<i32>, String, TempDir) {
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        let code = self.process.wait().unwrap().code();
        let dir = mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        (code, log, dir)
    }

    /// Returns the exit code and the rest of the log.
    fn end(self) -> (Option<i32>, String) {
        let (code, log, _) = self.end_in();
        (code, log)
    }
}

/// The body of a request that was begun.
const LAST: &str = r#"{"text": "last"}"#;

fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

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
    let service = Service::start_in(dir, &mut Command::new(PROGRAM));
    assert_eq!(service.texts(), ["last"]);
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

#[test]
fn wrong_settings_are_told() {
    // If all else is right, the service fails at the database.
    let database = "/no/such/folder/notes";
    let cannot_open = format!("Error: cannot open {database}");
    for (name, value, code, words) in [
        (
            "APP_ADDRESS",
            "here",
            2,
            "invalid value 'here' for '--address",
        ),
        (
            "APP_QUEUE",
            "0",
            2,
            "invalid value '0' for '--queue <QUEUE>'",
        ),
        (
            "APP_DRAIN",
            "1h",
            2,
            "invalid value '1h' for '--drain <DRAIN>'",
        ),
        (
            "APP_DRAIN",
            "0",
            2,
            "invalid value '0' for '--drain <DRAIN>'",
        ),
        ("RUST_LOG", "app=loud", 2, "invalid value 'app=loud'"),
        ("APP_DRAINS", "10", 2, "there is no setting 'APP_DRAINS'"),
        ("APP_DRAIN", "10", 1, &cannot_open),
    ] {
        let mut command = Command::new(PROGRAM);
        let command = command.args(["--database", database]).env(name, value);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{said}");
    }
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
        code == Some(0) && log.contains("notes were not stored"),
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
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path().join("notes.db"), 10).await.unwrap();
    for text in ["one", "and two more", ""] {
        let note = store.add(format!("a note {text}")).await.unwrap();
        assert_eq!(note.words, None, "no worker runs yet");
    }
    drop(store);
    let mut service = Service::start_in(dir, &mut Command::new(PROGRAM));
    service.process.kill().unwrap();
    let (_, _, dir) = service.end_in();
    let service = Service::start_in(dir, &mut Command::new(PROGRAM));
    let words = || {
        let said = service.send("GET /notes", "");
        let (_, body) = said.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        let notes = body["notes"].as_array().unwrap().iter();
        notes.map(|note| note["words"].as_i64()).collect::<Vec<_>>()
    };
    while words().contains(&None) {
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(words(), [Some(3), Some(5), Some(2)]);
    service.terminate();
    assert_eq!(service.end().0, Some(0));
}
