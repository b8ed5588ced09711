//! The service as a process, for the tests.

#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::mem;
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_server");
/// No machine is so busy that this runs out.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A running service.
pub struct Service {
    pub process: Child,
    pub log: BufReader<ChildStderr>,
    pub address: String,
    pub dir: TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}

impl Service {
    pub fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start_in(dir, Command::new(PROGRAM).args(arguments))
    }

    pub fn start_on(database: &str, dir: TempDir) -> Self {
        Self::start_in(dir, Command::new(PROGRAM).args(["--database", database]))
    }

    pub fn start_in(dir: TempDir, command: &mut Command) -> Self {
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

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(2 * LIMIT)).unwrap();
        stream
    }

    pub fn send(&self, head: &str, body: &str) -> String {
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

    pub fn post(&self, text: &str) -> String {
        self.send("POST /notes", &json!({ "text": text }).to_string())
    }

    /// Returns all notes.
    pub fn notes(&self) -> Vec<Value> {
        let (mut notes, mut after) = (Vec::new(), Value::from(0));
        loop {
            let said = self.send(&format!("GET /notes?limit=255&after={after}"), "");
            let (_, body) = said.split_once("\r\n\r\n").unwrap();
            let mut body: Value = serde_json::from_str(body).unwrap();
            let page = body["notes"].as_array_mut().unwrap();
            let Some(last) = page.last() else {
                return notes;
            };
            after = last["id"].clone();
            notes.append(page);
        }
    }

    pub fn texts(&self) -> Vec<String> {
        let text = |note: &Value| note["text"].as_str().unwrap().to_owned();
        self.notes().iter().map(text).collect()
    }

    /// Begins a request, and returns when its handler waits for the body.
    pub fn begin(&self) -> TcpStream {
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

    pub fn signal(&self) {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
    }

    /// Sends SIGTERM, and returns when new clients are refused.
    #[allow(clippy::disallowed_methods, reason = "there is no runtime to block")]
    pub fn terminate(&self) {
        self.signal();
        while TcpStream::connect(&self.address).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns the exit code, the rest of the log, and the folder.
    pub fn end_in(mut self) -> (Option<i32>, String, TempDir) {
        let mut log = String::new();
        self.log.read_to_string(&mut log).unwrap();
        let code = self.process.wait().unwrap().code();
        let dir = mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        (code, log, dir)
    }

    /// Returns the exit code and the rest of the log.
    pub fn end(self) -> (Option<i32>, String) {
        let (code, log, _) = self.end_in();
        (code, log)
    }
}

/// The body of a request that was begun.
pub const LAST: &str = r#"{"text": "last"}"#;

pub fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
