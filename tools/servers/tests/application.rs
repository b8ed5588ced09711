//! The application on a PostgreSQL that is killed and stopped while clients add notes: what
//! they have heard of is there.

#![cfg(target_os = "linux")]

use std::collections::HashSet;
use std::env;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use servers::{Kind, Server};

/// Builds the program, and returns its path.
fn program() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut build = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    build.args(["build", "--quiet", "--locked", "--package", "application"]);
    build.args(["--features", "postgres"]).current_dir(root);
    assert!(build.status().expect("cargo runs").success());
    // Tests are in `deps`, next to it.
    let test = env::current_exe().expect("a path");
    let folder = test.ancestors().nth(2).expect("a folder");
    folder.join("server")
}

struct Application {
    process: Child,
    address: String,
}

impl Application {
    fn start(server: &Server) -> Self {
        let mut program = Command::new(program());
        program.args(["--address", "127.0.0.1:0", "--database", &server.url()]);
        let mut process = program.stderr(Stdio::piped()).spawn().expect("it starts");
        let mut log = BufReader::new(process.stderr.take().expect("it is piped"));
        let mut line = String::new();
        while !line.contains("listening on ") {
            line.clear();
            assert_ne!(log.read_line(&mut line).expect("text"), 0, "it has ended");
        }
        let (_, address) = line.trim().split_once("listening on ").expect("an address");
        let address = address.to_owned();
        // Otherwise it would wait until somebody reads.
        thread::spawn(move || io::copy(&mut log, &mut io::sink()));
        Self { process, address }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ended = self.process.kill().and_then(|()| self.process.wait());
    }
}

/// Returns the status and the body.
fn send(address: &str, head: &str, body: &str) -> io::Result<(String, String)> {
    let mut stream = TcpStream::connect(address)?;
    let length = body.len();
    write!(
        stream,
        "{head} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).unwrap_or_default();
    Ok((status.to_owned(), body.to_owned()))
}

fn until(what: &str, is_so: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        sleep(Duration::from_millis(10));
    }
    start.elapsed()
}

/// Adds notes until it is over. Returns the bodies of those that were acknowledged.
fn add_notes(address: &str, is_over: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    while !is_over.load(Relaxed) {
        let (status, body) = send(address, "POST /notes", r#"{"text": "a note"}"#)
            .expect("the service answers");
        match &*status {
            "201" => acknowledged.push(body),
            // The server is gone or silent, so there is time.
            "500" | "503" | "504" => sleep(Duration::from_millis(10)),
            _ => panic!("{status} {body}"),
        }
    }
    acknowledged
}

fn id(note: &str) -> u64 {
    let (_, rest) = note.split_once("\"id\":").expect("an id");
    let digits = rest.split(|it: char| !it.is_ascii_digit()).next();
    digits.expect("an id").parse().expect("a number")
}

#[test]
fn no_acknowledged_note_is_lost_when_the_server_is_killed_or_hangs() {
    if let Err(missing) = Kind::Postgres.program() {
        assert!(env::var_os("REQUIRE_SERVICES").is_none(), "{missing}");
        return eprintln!("{missing}");
    }
    let mut server = Server::start(Kind::Postgres).expect("it starts");
    let application = Application::start(&server);
    let address = &application.address;
    let is_ready = || send(address, "GET /ready", "").is_ok_and(|it| it.0 == "200");
    let adds = || {
        send(address, "POST /notes", r#"{"text": "a note"}"#)
            .is_ok_and(|it| it.0 == "201")
    };
    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (address, is_over) = (address.clone(), is_over.clone());
            thread::spawn(move || add_notes(&address, &is_over))
        })
        .collect();
    for round in 0..3 {
        until("it adds notes", adds);
        sleep(Duration::from_millis(200));
        server.kill();
        until("it is not ready", || !is_ready());
        server.restart().expect("it starts again");
        let took = until("it is ready after a kill", || is_ready() && adds());
        println!("round {round}: it works {took:?} after a kill and the restart");
        server.pause();
        let took = until("it is not ready", || !is_ready());
        println!("round {round}: it is not ready {took:?} after the server hangs");
        server.resume();
        let took = until("it is ready after a pause", || is_ready() && adds());
        println!("round {round}: it works {took:?} after the pause");
    }
    is_over.store(true, Relaxed);
    let ends = clients.into_iter().map(|it| it.join().expect("it ends"));
    let acknowledged: Vec<u64> = ends.flatten().map(|note| id(&note)).collect();

    let (mut stored, mut last) = (HashSet::new(), 0);
    loop {
        let page = format!("GET /notes?limit=255&after={last}");
        let (_, body) = send(address, &page, "").expect("it answers");
        let ids: Vec<u64> = body
            .split("{\"id\"")
            .skip(1)
            .map(|note| id(&format!("\"id\"{note}")))
            .collect();
        let Some(&largest) = ids.last() else {
            break;
        };
        last = largest;
        stored.extend(ids);
    }
    println!(
        "{} were acknowledged, {} are stored",
        acknowledged.len(),
        stored.len()
    );
    assert!(acknowledged.len() > 100, "the clients added notes");
    for id in acknowledged {
        assert!(stored.contains(&id), "note {id} was acknowledged");
    }
}
