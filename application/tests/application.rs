//! The service as a process, and its routes without one.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "these are tests, which fail by it")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

use application::routes::{limited, routes};
use application::server::{self, Limits};
use application::shutdown;
use application::state::AppState;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

const PROGRAM: &str = env!("CARGO_BIN_EXE_application");
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
        self.signal();
        while TcpStream::connect(&self.address).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self) {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::TERM).unwrap();
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
        (
            "APP_DRAIN",
            "0",
            2,
            "invalid value '0' for '--drain <DRAIN>'",
        ),
        ("APP_DRAIN", "10", 1, &cannot_open),
    ] {
        let mut command = Command::new(PROGRAM);
        let command = command.args(["--journal", journal]).env(name, value);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(words), "{said}");
    }
}

/// A crash leaves half a line. The next note is a line all the same.
#[test]
fn half_a_line_is_removed_at_the_start() {
    for (before, after) in [
        ("", "new\n"),
        ("whole\n", "whole\nnew\n"),
        ("whole\nhal", "whole\nnew\n"),
        ("hal", "new\n"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let journal = dir.path().join("notes.txt");
        fs::write(&journal, before).unwrap();
        let service = Service::start_in(dir, &mut Command::new(PROGRAM));
        assert!(service.post("new").starts_with("HTTP/1.1 201"));
        assert_eq!(fs::read_to_string(journal).unwrap(), after);
    }
}

/// A limit on the size of files stands for a full disk: a part of the note is written.
#[test]
#[cfg(target_os = "linux")]
fn after_a_full_disk_each_acknowledged_note_is_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let limited = r#"trap '' XFSZ; ulimit -f 2; exec "$0" "$@""#;
    let mut command = Command::new("sh");
    let service = Service::start_in(dir, command.args(["-c", limited, PROGRAM]));
    let first = "x".repeat(700);
    assert!(service.post(&first).starts_with("HTTP/1.1 201"));
    assert!(service.post(&first).starts_with("HTTP/1.1 500"));
    let (code, log, dir) = service.end_in();
    assert!(
        code == Some(1) && log.contains("cannot write notes"),
        "{log}"
    );
    let journal = dir.path().join("notes.txt");
    assert_eq!(fs::read_to_string(&journal).unwrap(), format!("{first}\n"));

    let service = Service::start_in(dir, &mut Command::new(PROGRAM));
    assert!(service.post("after").starts_with("HTTP/1.1 201"));
    let lines = fs::read_to_string(journal).unwrap();
    assert_eq!(lines, format!("{first}\nafter\n"));
}

fn fifo(dir: &TempDir) -> String {
    let path = dir.path().join("fifo");
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    path.into_os_string().into_string().unwrap()
}

/// Opening a FIFO that nobody reads waits without a limit, as on a dead network disk.
#[test]
fn a_signal_ends_a_start_that_hangs() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(PROGRAM);
    command
        .args(["--journal", &fifo(&dir)])
        .stderr(Stdio::piped());
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

/// A write into a full FIFO does not end, as on a disk that hangs.
#[test]
#[cfg(target_os = "linux")]
fn a_write_that_hangs_does_not_outlive_the_drain() {
    let dir = tempfile::tempdir().unwrap();
    let path = fifo(&dir);
    let mut full = fs::File::options()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    full.write_all(&[0; 64 * 1024]).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["--journal", &path, "--drain", "1"]);
    let service = Service::start_in(dir, &mut command);
    let mut request = service.begin();
    request.write_all(b"note").unwrap();
    service.terminate();
    let (code, log) = service.end();
    let said = "Error: the requests did not end within 1s";
    assert!(code == Some(1) && log.contains(said), "{code:?} {log}");
}

#[test]
fn a_second_process_on_the_same_file_is_refused() {
    let service = Service::start(&[]);
    let mut command = Command::new(PROGRAM);
    command
        .args(["--address", "127.0.0.1:0"])
        .current_dir(&service.dir);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("another process has it open"), "{said}");
}

#[test]
fn a_client_that_closes_its_sending_half_gets_its_response() {
    let service = Service::start(&[]);
    let mut request = service.begin();
    request.write_all(b"last").unwrap();
    request.shutdown(Shutdown::Write).unwrap();
    assert!(rest(request).starts_with("HTTP/1.1 201 Created"));
}

/// One client that never reads has the only connection, until its age.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits {
        connections: 1,
        age: Duration::from_millis(200),
        last_request: Duration::from_millis(200),
        ..Limits::default()
    };
    let long = async || "x".repeat(1 << 20);
    let routes = Router::new().route("/", get(long));
    let server = server::serve(listener, routes, CancellationToken::new(), limits);
    let server = tokio::spawn(server);
    let get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
    silent.write_all(&get.repeat(100)).await.unwrap();
    // When a part of a response is there, the connection is served.
    silent.readable().await.unwrap();
    let mut other = tokio::net::TcpStream::connect(address).await.unwrap();
    other.write_all(get).await.unwrap();
    let answer = timeout(LIMIT, other.read_u8()).await;
    assert_eq!(answer.expect("it is served").unwrap(), b'H');
    server.abort();
}

/// A service that fails after the signal does not cut the others off.
#[tokio::test]
async fn the_others_end_after_one_has_failed_in_the_drain() {
    let (stop, mut services) = (CancellationToken::new(), JoinSet::new());
    let stopped = stop.clone();
    services.spawn(async move {
        stopped.cancelled().await;
        anyhow::bail!("the disk is full")
    });
    let (ends, mut has_ended) = oneshot::channel();
    let stopped = stop.clone();
    services.spawn(async move {
        stopped.cancelled().await;
        sleep(Duration::from_millis(50)).await;
        let _ = ends.send(());
        Ok(())
    });
    let mut signals = 0;
    let signal = async move || {
        signals += 1;
        if signals > 1 {
            std::future::pending::<()>().await;
        }
    };
    let error = shutdown::finish(services, signal, stop, LIMIT).await;
    assert_eq!(error.unwrap_err().to_string(), "the disk is full");
    assert_eq!(
        has_ended.try_recv(),
        Ok(()),
        "before the end of the program"
    );
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
