//! Starts, kills, restarts and pauses what is installed.

#![cfg(target_os = "linux")]

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use servers::{Kind, Server};

/// Waits until it is so, or fails after a time that nothing takes.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        sleep(Duration::from_millis(10));
    }
}

/// Starts a server, or says what is missing, which is an error with REQUIRE_SERVICES.
fn start(kind: Kind) -> Option<Server> {
    if let Err(missing) = kind.program() {
        assert!(env::var_os("REQUIRE_SERVICES").is_none(), "{missing}");
        eprintln!("{missing}");
        return None;
    }
    Some(Server::start(kind).expect("it starts"))
}

fn address(server: &Server) -> String {
    let url = server.url();
    let mut parts = url.split(['/', '@']);
    let address = parts.find(|it| it.starts_with("127.0.0.1:"));
    address.expect("an address").to_owned()
}

/// The numbers of all processes.
fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("it can be read").flatten();
    entries
        .filter_map(|it| it.file_name().to_str()?.parse().ok())
        .collect()
}

/// The folder that a process runs in.
fn folder(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

#[test]
fn each_can_be_killed_restarted_and_paused() {
    for kind in Kind::ALL {
        let Some(mut server) = start(kind) else {
            continue;
        };
        let address = address(&server);
        let connect = || TcpStream::connect(&address);
        assert!(connect().is_ok(), "{kind:?}");
        server.kill();
        assert!(connect().is_err(), "{kind:?}");
        let url = server.url();
        for _ in 0..3 {
            server.restart().expect("it starts again");
            assert_eq!(server.url(), url);
        }
        // What hangs does not refuse. The kernel accepts, and nobody answers.
        server.pause();
        let mut stream = connect().expect("it is not refused");
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .expect("it is set");
        stream
            .write_all(b"PING\r\n")
            .expect("it fits into the buffer");
        assert!(stream.read(&mut [0]).is_err(), "{kind:?} answers");
        server.resume();
        // It answers, or closes as that was no word of its language.
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("it is set");
        let answered = stream.read(&mut [0]);
        assert!(
            answered.is_ok() || kind == Kind::Postgres,
            "{kind:?}: {answered:?}"
        );
        // A paused one can be killed as well.
        server.pause();
        server.kill();
        assert!(connect().is_err(), "{kind:?}");
    }
}

/// PostgreSQL starts a process for each connection, also at the moment that it is killed.
#[test]
fn a_kill_leaves_no_process_that_was_just_started() {
    let Some(mut server) = start(Kind::Postgres) else {
        return;
    };
    let address = address(&server);
    let port = address.rsplit_once(':').expect("a port").1.to_owned();
    let line = |pid: u32| fs::read_to_string(format!("/proc/{pid}/cmdline"));
    let parent = pids().into_iter().find(|pid| {
        line(*pid).is_ok_and(|line| line.contains("postgres\0") && line.contains(&port))
    });
    let data = folder(parent.expect("it runs")).expect("it has a folder");
    for _ in 0..20 {
        let ended = AtomicBool::new(false);
        let left = thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !ended.load(Relaxed) {
                        let _ = TcpStream::connect(&address);
                    }
                });
            }
            sleep(Duration::from_millis(20));
            server.kill();
            ended.store(true, Relaxed);
            let left = pids()
                .into_iter()
                .filter(|pid| folder(*pid).as_ref() == Some(&data));
            left.collect::<Vec<u32>>()
        });
        assert_eq!(left, [0; 0], "they run on");
        server.restart().expect("it starts again");
    }
}

/// No process and no folder is left of a program that is killed.
#[test]
fn what_a_killed_program_leaves() {
    if start(Kind::Redis).is_none() {
        return;
    }
    let mut program = Command::new(env!("CARGO_BIN_EXE_with-servers"))
        .args(["redis", "sh", "-c", "echo $REDIS_URL; exec sleep 3600"])
        .env_remove("REDIS_URL")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut url = String::new();
    let stdout = program.stdout.take().expect("it is piped");
    BufReader::new(stdout)
        .read_line(&mut url)
        .expect("it prints");
    let address = url.trim().trim_start_matches("redis://");
    let children =
        fs::read_to_string(format!("/proc/{0}/task/{0}/children", program.id()));
    let children = children.expect("Linux tells");
    assert!(TcpStream::connect(address).is_ok());
    let port = address.rsplit_once(':').expect("a port").1;
    let is_server = |pid: &u32| {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.contains("redis-server") && line.contains(port)
    };
    let server = pids().into_iter().find(is_server).expect("it runs");
    let folder = folder(server).expect("it has a folder");
    program.kill().expect("it runs");
    program.wait().expect("it is ours");
    until("the server ends", || TcpStream::connect(address).is_err());
    until("the folder goes", || !Path::new(&folder).exists());
    // The command went on: it is the caller's. Here it sleeps.
    for pid in children.split_whitespace() {
        let _ = Command::new("kill").arg(pid).status();
    }
}

#[test]
fn the_command_line() {
    let run = |words: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_with-servers"));
        program.args(words).env("REDIS_URL", "redis://set:1");
        let output = program.output().expect("it runs");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let (code, usage) = run(&["redis"]);
    assert_eq!(code, Some(2));
    assert!(
        usage.contains("usage: with-servers [postgres redis nats mariadb] COMMAND...")
    );
    // What is set is left alone, and the exit code is the command's.
    let (code, said) = run(&["redis", "sh", "-c", "echo $REDIS_URL; exit 7"]);
    assert_eq!((code, said.as_str()), (Some(7), "redis://set:1\n"));
    let (code, said) = run(&["redis", "no-such-program"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("cannot run no-such-program"), "{said}");
}
