//! How a program ends: by `exit`, by Ctrl-C, and by another signal.
//!
//! Each clause runs this program again, with the name of what the child shall do. The
//! child reports on its standard output. It ends after 20 seconds at the latest, and it
//! is killed when its probe ends.
//!
//! asyncio: asyncio.run, SystemExit, KeyboardInterrupt, loop.remove_signal_handler
//! differs: `process::exit` and a signal that nothing awaits drop nothing

#![cfg(unix)]

use std::env;
use std::fs::File;
use std::future::pending;
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::panic;
use std::process::{self, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, getrlimit, kill_process, setrlimit,
    waitpid,
};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{millis, protocols, settle, try_together};

/// A child ends after this time at the latest, however busy the machine is.
const LIMIT: Duration = Duration::from_secs(20);

fn say(text: impl std::fmt::Display) {
    std::println!("> {text}");
}

/// Says its text when it is dropped, where Python has a `finally`.
struct Finally(&'static str);

impl Drop for Finally {
    fn drop(&mut self) {
        say(self.0);
    }
}

/// Leaves the program in its clean-up.
struct Exits;

impl Drop for Exits {
    fn drop(&mut self) {
        process::exit(4);
    }
}

/// Blocks the thread until the parent has closed its end.
fn block() {
    let _ = io::stdin().read_to_end(&mut Vec::new());
}

/// A server whose process has no descriptor left when its client comes.
async fn accept_without_descriptors() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpSocket::new_v4()?;
    let limit = getrlimit(Resource::Nofile);
    let current = Some(File::open("/dev/null")?.as_raw_fd().cast_unsigned().into());
    setrlimit(Resource::Nofile, Rlimit { current, ..limit })?;
    let _client = client.connect(listener.local_addr()?).await?;
    loop {
        let (_stream, _) = listener.accept().await?;
        say("served");
    }
}

/// Tells what a client reads when its [`Connection`](protocols::Connection) is dropped.
async fn drop_a_transport() -> &'static str {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (made, mut connections) = mpsc::channel(1);
    tokio::spawn(protocols::serve(listener, 1, millis(60_000), made));
    let mut client = TcpStream::connect(address).await.unwrap();
    drop(connections.recv().await.unwrap());
    match timeout(millis(300), client.read(&mut [0; 1])).await {
        Ok(_) => "the peer sees the end",
        Err(_) => "the peer waits",
    }
}

/// Waits for a child for which other code has waited.
async fn reaped_elsewhere() -> io::Result<ExitStatus> {
    let mut child = Command::new("true").spawn()?;
    waitpid(Some(pid(&child)), WaitOptions::empty())?;
    child.wait().await
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().unwrap().cast_signed()).unwrap()
}

async fn child(what: &str) {
    let _finally = Finally("cleans up");
    match what {
        "exit in a task" => {
            let _ = tokio::spawn(async { process::exit(3) }).await;
        }
        "exit in a clean-up" => {
            let task = tokio::spawn(async {
                let _exits = Exits;
                pending::<()>().await;
            });
            settle().await;
            task.abort();
            let _ = task.await;
        }
        "wait" => {
            say("ready");
            pending::<()>().await;
        }
        "block after the first" => {
            let first = tokio::spawn(ctrl_c());
            settle().await;
            say("ready");
            first.await.unwrap().unwrap();
            say("first");
            block();
            say("goes on");
        }
        "panic in the hook" => {
            panic::set_hook(Box::new(|_| panic!("in the hook")));
            let _ = tokio::spawn(async { panic!("in the task") }).await;
        }
        "accept" => say(accept_without_descriptors().await.unwrap_err()),
        "drop a transport" => say(drop_a_transport().await),
        "reaped elsewhere" => say(reaped_elsewhere().await.unwrap_err()),
        _ => {
            drop(signal(SignalKind::terminate()).unwrap());
            say("ready");
            block();
            say("goes on");
        }
    }
}

/// This program. A shell may have told it to ignore SIGINT, as one in the background.
fn itself() -> Command {
    let this = env::current_exe().unwrap();
    if !cfg!(target_os = "linux") {
        return Command::new(this);
    }
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(this);
    command
}

/// Returns what the child says next, without what the section and its examples print.
async fn next_said(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<String> {
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some(said) = line.strip_prefix("> ") {
            return Some(said.to_owned());
        }
    }
    None
}

/// Runs the child, and sends it a signal after each of its first lines.
async fn run<const N: usize>(what: &str, signals: [Signal; N]) -> String {
    let mut command = itself();
    let command = command.arg(what).stdin(Stdio::piped());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = pid(&child);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = Vec::new();
    for signal in signals {
        told.extend(next_said(&mut lines).await);
        kill_process(pid, signal).unwrap();
    }
    let input = child.stdin.take();
    let _ = timeout(millis(500), child.wait()).await;
    drop(input);
    while let Some(line) = next_said(&mut lines).await {
        told.push(line);
    }
    let status = child.wait().await.unwrap();
    told.push(match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {}", signal.unwrap()),
    });
    told.join(", ")
}

#[tokio::main]
async fn main() {
    let what = env::args().nth(1);
    if let Some(what) = what {
        // A child that misses its signal still ends, even without its parent.
        let _ = timeout(LIMIT, child(&what)).await;
        return;
    }
    try_together! { millis(3_000),
        "loop.exit.finally" => run("exit in a task", []),
        "task.cancel.exit-in-cleanup" => run("exit in a clean-up", []),
        "loop.interrupt.run_forever" => run("wait", [Signal::INT]),
        "run.interrupt.cancels-main" => run("wait", [Signal::INT]),
        "run.interrupt.second" => run("block after the first", [Signal::INT; 2]),
        "loop.exception_handler.own" => run("panic in the hook", []),
        "server.accept.no-descriptors" => run("accept", []),
        "transport.dropped.closes" => run("drop a transport", []),
        "process.reaped.elsewhere" => run("reaped elsewhere", []),
        "signal.remove.restores-default" => run("remove a handler", [Signal::TERM]),
    }
}

//@ clock: real
