//! Subprocesses: what CPython's tests ask of them, on `tokio::process::Command`.
//!
//! Behind an `@` stands another counterpart: a component of `run_subprocess`, or a method
//! that has to be called as well.
//!
//! asyncio: asyncio.create_subprocess_exec, asyncio.create_subprocess_shell
//! asyncio: asyncio.subprocess.Process, loop.subprocess_exec
//! differs: a child inherits the environment and outlives its handle

#![cfg(unix)]

use std::env;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::codec::{FramedRead, LinesCodec};

use crate::support::run_subprocess::{
    Group, Limits, Line, Signal, run_to_end, spawn_merged,
};
use crate::support::subprocess_protocol::{Event, Process};
use crate::support::{millis, or_hangs, settle, try_together};

const MUCH: usize = 1_000_000;
/// A line that is too long, and many that are not.
const LONG_LINE: &str = "head -c 70000 /dev/zero | tr '\\0' x; echo; echo next
yes $(printf %0999d 0) | head -c 1000000";

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script);
    command
}

async fn output(command: &mut Command) -> String {
    let output = command.output().await.unwrap();
    str::from_utf8(&output.stdout).unwrap().trim().to_owned()
}

fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Returns the exit code, or the signal that ended it.
fn end(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("code {code}"),
        (None, signal) => format!("signal {}", signal.unwrap()),
    }
}

fn cat() -> Child {
    let mut command = Command::new("cat");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn sleeping(seconds: &str) -> Child {
    Command::new("sleep").arg(seconds).spawn().unwrap()
}

const LIMITS: Limits = Limits {
    run: millis(30_000),
    grace: millis(1000),
};

// Start and end.

async fn communicate() -> String {
    let mut child = cat();
    let mut stdin = child.stdin.take().unwrap();
    let writing = async move { stdin.write_all(b"hello").await };
    let (written, output) = tokio::join!(writing, child.wait_with_output());
    written.unwrap();
    let output = output.unwrap();
    format!(
        "{}, {}",
        str::from_utf8(&output.stdout).unwrap(),
        end(output.status)
    )
}

async fn communicate_nothing() -> String {
    let output = cat().wait_with_output().await.unwrap();
    format!("{} bytes, {}", output.stdout.len(), end(output.status))
}

async fn communicate_gone() -> String {
    let mut child = sh("exit 0").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writing = async move { stdin.write_all(&vec![b'x'; MUCH]).await };
    let (written, output) = tokio::join!(writing, child.wait_with_output());
    match written {
        Ok(()) => format!("ends with {}", end(output.unwrap().status)),
        Err(_) => "broken pipe".to_owned(),
    }
}

async fn communicate_gone_run() -> String {
    let mut command = sh("exit 0");
    let run = run_to_end(&mut command, vec![b'x'; MUCH], LIMITS, |_| {});
    format!("ends with {}", end(run.await.unwrap()))
}

async fn stdin_gone() -> String {
    let mut child = sh("exit 0").stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for _ in 0..100 {
        if stdin.write_all(&[b'x'; 100_000]).await.is_err() {
            return "fails after a few writes".to_owned();
        }
        settle().await;
    }
    "never fails".to_owned()
}

async fn shell() -> String {
    end(sh("exit 7").status().await.unwrap())
}

async fn returncode_killed() -> String {
    let mut child = sleeping("60");
    child.start_kill().unwrap();
    match child.wait().await.unwrap().code() {
        Some(code) => format!("the code is {code}"),
        None => "there is no code".to_owned(),
    }
}

async fn terminated() -> String {
    let mut group = Group::spawn(Command::new("sleep").arg("60")).unwrap();
    group.signal(Signal::Terminate).unwrap();
    end(group.leader.wait().await.unwrap())
}

async fn killed_after_end() -> String {
    let mut child = sh("exit 3").spawn().unwrap();
    child.wait().await.unwrap();
    match child.start_kill() {
        Ok(()) => "is ignored",
        Err(_) => "fails",
    }
    .to_owned()
}

async fn signalled_before_wait() -> String {
    let mut group = Group::spawn(&mut sh("exit 3")).unwrap();
    let pid = group.leader.id().unwrap();
    while alive(pid) {
        sleep(millis(10)).await;
    }
    group.signal(Signal::Terminate).unwrap();
    end(group.leader.wait().await.unwrap())
}

async fn killed_shell() -> String {
    let mut child = sh("sleep 1.5; true")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    sleep(millis(100)).await;
    child.start_kill().unwrap();
    let start = Instant::now();
    child.wait_with_output().await.unwrap();
    let early = start.elapsed() < millis(300);
    format!("the output ends with the shell: {early}")
}

async fn cancelled_wait() -> String {
    let mut child = sleeping("60");
    assert!(timeout(millis(50), child.wait()).await.is_err());
    child.start_kill().unwrap();
    end(child.wait().await.unwrap())
}

async fn waits_after_end() -> String {
    let mut child = sh("exit 4").spawn().unwrap();
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(child.wait().await.unwrap().code().unwrap().to_string());
    }
    codes.join(", ")
}

async fn ten_children() -> String {
    let outputs = (0..10)
        .map(|number| async move { output(&mut sh(&format!("echo {number}"))).await });
    futures::future::join_all(outputs).await.join(" ")
}

async fn no_program() -> String {
    match Command::new("/no/such/program")
        .stdin(Stdio::piped())
        .spawn()
    {
        Ok(_) => "starts",
        Err(error) if error.kind() == io::ErrorKind::NotFound => "not found",
        Err(_) => "another error",
    }
    .to_owned()
}

async fn forgotten(kill_on_drop: bool) -> String {
    let run = move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let pid = runtime.block_on(async move {
            let mut command = Command::new("sleep");
            let child = command.arg("5").kill_on_drop(kill_on_drop).spawn();
            child.unwrap().id().unwrap()
        });
        // A killed child needs a moment.
        for _ in 0..50 {
            if alive(pid) {
                std::thread::sleep(millis(10));
            }
        }
        pid
    };
    let pid = spawn_blocking(run).await.unwrap();
    let lives = alive(pid);
    if lives {
        sh(&format!("kill -KILL {pid}")).status().await.unwrap();
    }
    format!("lives on: {lives}")
}

async fn timed_out() -> String {
    let mut child = sh("sleep 1; echo done")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reading = timeout(millis(100), async {
        stdout.read_to_end(&mut Vec::new()).await.unwrap();
        child.wait().await.unwrap()
    });
    assert!(reading.await.is_err());
    let lives = alive(pid);
    child.wait().await.unwrap();
    format!("lives on: {lives}")
}

// Pipes.

async fn full_pipe() -> String {
    let script = format!("head -c {MUCH} /dev/zero");
    let mut child = sh(&script).stdout(Stdio::piped()).spawn().unwrap();
    let before = match timeout(millis(300), child.wait()).await {
        Ok(_) => "ends",
        Err(_) => "still waits",
    };
    let (mut bytes, mut stdout) = (Vec::new(), child.stdout.take().unwrap());
    stdout.read_to_end(&mut bytes).await.unwrap();
    child.wait().await.unwrap();
    format!("wait {before}, then {} bytes", bytes.len())
}

async fn open_stdin() -> String {
    let mut command = Command::new("cat");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    match timeout(millis(10_000), child.wait()).await {
        Ok(_) => "wait returns",
        Err(_) => "wait still waits",
    }
    .to_owned()
}

/// Returns the child, whose output is many lines after one that is too long.
fn long_line() -> (Child, FramedRead<tokio::process::ChildStdout, LinesCodec>) {
    let mut command = sh(LONG_LINE);
    let mut child = command
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    (
        child,
        FramedRead::new(stdout, LinesCodec::new_with_max_length(65_536)),
    )
}

async fn long_line_while_let() -> String {
    let ((mut child, mut lines), mut told) = (long_line(), Vec::new());
    while let Some(line) = lines.next().await {
        told.push(line.unwrap_or_else(|_| "too long".to_owned()));
    }
    let status = child.wait().await.unwrap();
    format!("{}, {}", told.join(", "), end(status))
}

async fn long_line_go_on() -> String {
    let ((mut child, mut lines), mut told) = (long_line(), Vec::new());
    loop {
        match lines.next().await {
            Some(Ok(line)) if line.len() == 999 => {}
            Some(Ok(line)) => told.push(line),
            Some(Err(_)) => {
                told.push("too long".to_owned());
                // After each error there is one `None`, which is no end.
                assert!(lines.next().await.is_none());
            }
            None => break,
        }
    }
    let status = child.wait().await.unwrap();
    format!("{}, {}", told.join(", "), end(status))
}

async fn read_after_end() -> String {
    let mut command = sh("head -c 60000 /dev/zero; exit 1");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let status = child.wait().await.unwrap();
    let (mut bytes, mut stdout) = (Vec::new(), child.stdout.take().unwrap());
    stdout.read_to_end(&mut bytes).await.unwrap();
    format!("{} bytes, {}", bytes.len(), end(status))
}

async fn devnull_input() -> String {
    format!(
        "{} bytes",
        output(sh("cat").stdin(Stdio::null())).await.len()
    )
}

async fn devnull_output() -> String {
    let child = sh("echo hello").stdout(Stdio::null()).spawn().unwrap();
    format!(
        "{} bytes",
        child.wait_with_output().await.unwrap().stdout.len()
    )
}

async fn dev_stdin() -> String {
    let mut command = sh("cat /dev/stdin");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"hello")
        .await
        .unwrap();
    let output = child.wait_with_output().await.unwrap();
    str::from_utf8(&output.stdout).unwrap().to_owned()
}

async fn inherited_stdin() -> String {
    let (mut child, mut other) = (cat(), sleeping("5"));
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"hello")
        .await
        .unwrap();
    let output = child.wait_with_output().await.unwrap();
    other.kill().await.unwrap();
    str::from_utf8(&output.stdout).unwrap().to_owned()
}

async fn merged() -> String {
    let started = spawn_merged(&mut sh("echo one; echo two >&2; echo three"));
    let ((mut group, mut lines), mut told) = (started.unwrap(), Vec::new());
    while let Some(line) = lines.next().await {
        match line.unwrap() {
            Line::Out(line) | Line::Err(line) => told.push(line),
        }
    }
    group.leader.wait().await.unwrap();
    told.join(" ")
}

async fn inherited_output() -> String {
    let mut child = sh("true").spawn().unwrap();
    let pipe = child.stdout.is_some();
    child.wait().await.unwrap();
    format!("a pipe: {pipe}")
}

async fn protocol() -> String {
    let mut process = Process::spawn(&mut sh("printf out; printf err >&2")).unwrap();
    let mut seen = Vec::new();
    while let Some(event) = process.next().await.unwrap() {
        seen.push(match event {
            Event::Data(pipe, data) => {
                format!("{pipe}: {}", str::from_utf8(&data).unwrap())
            }
            Event::PipeLost(pipe) => format!("{pipe} ends"),
            Event::Exited(_) => "exit".to_owned(),
        });
    }
    seen.sort_unstable();
    seen.join(", ")
}

// What the child inherits.

async fn environment(clear: bool) -> String {
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg("echo $CONTRACT, HOME is ${HOME:-not there}");
    if clear {
        command.env_clear();
    }
    let told = output(command.env("CONTRACT", "given")).await;
    told.replace(&env::var("HOME").unwrap(), "the parent's")
}

async fn own_session(mut command: Command) -> String {
    let script = "cut -d ' ' -f 1,6 /proc/$$/stat";
    let told = output(command.arg("-c").arg(script)).await;
    let (pid, session) = told.split_once(' ').unwrap();
    format!("its own session: {}", pid == session)
}

async fn own_group() -> String {
    let mut command = Command::new("sh");
    command.process_group(0);
    own_session(command).await
}

async fn setsid() -> String {
    let mut command = Command::new("setsid");
    command.args(["--wait", "sh"]);
    own_session(command).await
}

#[tokio::main]
async fn main() {
    try_together! { millis(4_000),
        "process.communicate.input-and-output" => communicate(),
        "process.communicate.closes-stdin" => communicate_nothing(),
        "process.communicate.ignores-broken-pipe" => communicate_gone(),
        "process.communicate.ignores-broken-pipe@run_to_end" => communicate_gone_run(),
        "process.stdin.write-fails-if-child-is-gone" => stdin_gone(),
        "process.shell.exit-code" => shell(),
        "process.returncode.minus-signal" => returncode_killed(),
        "process.terminate.ends@Group" => terminated(),
        "process.kill.after-end" => killed_after_end(),
        "process.send_signal.before-wait@Group" => signalled_before_wait(),
        "process.kill.shell-with-child" => killed_shell(),
        "process.wait.cancelled-can-be-repeated" => cancelled_wait(),
        "process.wait.again-after-end" => waits_after_end(),
        "process.start.ten-together" => ten_children(),
        "process.start.no-program" => no_program(),
        "process.forgotten.is-killed" => forgotten(false),
        "process.forgotten.is-killed@kill_on_drop" => forgotten(true),
        "process.communicate.timeout-leaves-child" => timed_out(),
        "process.wait.full-pipe-waits" => full_pipe(),
        "process.wait.open-stdin-waits" => open_stdin(),
        "process.stdout.goes-on-after-long-line" => or_hangs(long_line_while_let()),
        "process.stdout.goes-on-after-long-line@skip-one-None" => long_line_go_on(),
        "process.stdout.read-after-end" => read_after_end(),
        "process.stdin.devnull" => devnull_input(),
        "process.stdout.devnull-is-none" => devnull_output(),
        "process.stdin.dev-stdin" => dev_stdin(),
        "process.stdin.not-inherited-by-others" => inherited_stdin(),
        "process.stderr.merged-in-order@spawn_merged" => merged(),
        "process.stdout.inherited-by-default" => inherited_output(),
        "subprocess_protocol.each-event-once" => protocol(),
        "process.env.replaces" => environment(false),
        "process.env.replaces@env_clear" => environment(true),
        "process.start_new_session.leads-session" => own_group(),
        "process.start_new_session.leads-session@setsid" => setsid(),
    }
}

//@ clock: real
//@ python: 3.13
