//! The service as a process, and its routes without one.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "these are tests, which fail by it")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

use application::routes::{limited, routes};
use application::state::AppState;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::timeout;
use tower::ServiceExt as _;

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
        let mut command = Command::new(env!("CARGO_BIN_EXE_application"));
        command.args(["--address", "127.0.0.1:0"]).args(arguments);
        command.current_dir(&dir).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let (_, address) = line.trim().split_once("listening on ").expect(&line);
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
        let limit = Some(Duration::from_secs(60));
        stream.set_read_timeout(limit).unwrap();
        stream
    }

    fn post(&self, note: &str) -> String {
        let mut stream = self.connect();
        let length = note.len();
        write!(
            stream,
            "POST /notes HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{note}"
        )
        .unwrap();
        rest(stream)
    }

    /// Begins a request, and returns when its handler waits for the body of four bytes.
    fn begin(&self) -> TcpStream {
        let mut stream = self.connect();
        let head = "POST /notes HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\
                    Expect: 100-continue\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut said = [0; 25];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream
    }

    /// Sends SIGTERM, and returns when new clients are refused.
    #[allow(clippy::disallowed_methods, reason = "there is no runtime to block")]
    fn terminate(&self) {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::TERM).unwrap();
        while TcpStream::connect(&self.address).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the exit code and the rest of the log.
    fn end(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        (self.process.wait().unwrap().code(), log)
    }
}

fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn a_note_is_on_disk_when_the_client_hears_of_it() {
    let service = Service::start(&[]);
    let said = service.post("first");
    assert!(said.starts_with("HTTP/1.1 201 Created"), "{said}");
    let journal = service.dir.path().join("notes.txt");
    assert_eq!(fs::read_to_string(journal).unwrap(), "first\n");
    service.terminate();
    assert_eq!(service.end().0, Some(0));
}

#[test]
fn sigterm_lets_the_running_request_end() {
    let service = Service::start(&[]);
    let mut request = service.begin();
    service.terminate();
    request.write_all(b"last").unwrap();
    let said = rest(request);
    assert!(said.starts_with("HTTP/1.1 201 Created"), "{said}");
    // Otherwise the server would wait for the client's next request.
    assert!(said.contains("connection: close"), "{said}");
    let journal = service.dir.path().join("notes.txt");
    assert_eq!(fs::read_to_string(journal).unwrap(), "last\n");
    assert_eq!(service.end().0, Some(0));
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
    service.terminate();
    let (code, log) = service.end();
    let said = "Error: stopped by a second signal";
    assert!(code == Some(1) && log.contains(said), "{code:?} {log}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_worker_that_fails_ends_the_program() {
    let service = Service::start(&["--journal", "/dev/full"]);
    let said = service.post("lost");
    assert!(said.starts_with("HTTP/1.1 500"), "{said}");
    let (code, log) = service.end();
    let said = ["Error: cannot write notes", "No space left on device"];
    let is_said = said.iter().all(|part| log.contains(part));
    assert!(code == Some(1) && is_said, "{code:?} {log}");
}

#[test]
fn wrong_settings_are_told() {
    // If all else is right, the service fails at the journal.
    let journal = "/no/such/folder/notes";
    let cannot_open = format!("Error: cannot open {journal}");
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
        ("APP_DRAIN", "10", 1, &cannot_open),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_application"));
        let command = command.args(["--journal", journal]).env(name, value);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

fn note(text: &str) -> Request<Body> {
    Request::post("/notes")
        .body(Body::from(text.to_owned()))
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_answered_with_503_and_a_slow_one_with_504() {
    // No worker takes the notes out of this queue.
    let (notes, _queue) = mpsc::channel(1);
    let state = AppState { notes };
    let routes = routes(state.clone());
    let first = tokio::spawn(routes.clone().oneshot(note("one")));
    while state.notes.capacity() > 0 {
        yield_now().await;
    }
    let refused = routes.oneshot(note("two")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    let late = timeout(Duration::from_secs(60), first).await;
    let late = late.expect("a limit").unwrap().unwrap();
    assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn a_panic_is_answered_with_500() {
    async fn broken() -> String {
        panic!("on purpose")
    }
    let routes = limited(Router::new().route("/", get(broken)));
    let request = Request::get("/").body(Body::empty()).unwrap();
    let response = routes.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn only_lines_of_limited_length_are_notes() {
    let (notes, _queue) = mpsc::channel(1);
    let routes = routes(AppState { notes });
    for (text, status) in [
        ("", StatusCode::UNPROCESSABLE_ENTITY),
        ("two\nlines", StatusCode::UNPROCESSABLE_ENTITY),
        (&"x".repeat(4097), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let response = routes.clone().oneshot(note(text)).await.unwrap();
        assert_eq!(response.status(), status, "{text}");
    }
}
