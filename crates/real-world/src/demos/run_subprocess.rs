//! Programs that are slow, deaf, loud or missing, and one that has its own child.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::{interval, timeout};

#[cfg(unix)]
use crate::run_subprocess::spawn_merged;
use crate::run_subprocess::{Group, Limits, Line, RunError, lines, run_to_end};

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script);
    command
}

fn show(line: Line) {
    match line {
        Line::Out(line) => println!("out: {line}"),
        Line::Err(line) => println!("err: {line}"),
    }
}

fn report(ended: Result<ExitStatus, RunError>) {
    match ended {
        Ok(status) => println!("{status}"),
        Err(RunError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
            println!("there is no such program");
        }
        Err(error) => println!("{error}"),
    }
}

/// Shows lines. Nothing takes as long as the limit unless it hangs.
async fn show_lines(lines: BoxStream<'static, io::Result<Line>>) -> io::Result<()> {
    let all = lines.try_for_each(async |line| {
        show(line);
        Ok(())
    });
    timeout(Duration::from_secs(30), all).await?
}

async fn show_all(lines: BoxStream<'static, io::Result<Line>>) -> io::Result<()> {
    show_lines(lines).await?;
    println!("the end of the output");
    Ok(())
}

pub async fn run() -> Result<(), RunError> {
    let millis = Duration::from_millis;
    // Nothing takes that long unless it hangs.
    let long = Limits {
        run: millis(30_000),
        grace: millis(30_000),
    };
    let mut part = interval(millis(1_500));

    part.tick().await;
    println!("Lines as they come, and the exit status:");
    let script = "(sleep 0.2; echo careful >&2) & echo one; sleep 0.4; echo two; exit 3";
    report(run_to_end(&mut sh(script), Vec::new(), long, show).await);

    part.tick().await;
    println!("A million bytes, and nobody reads before the program has ended:");
    let mut command = sh("head -c 1000000 /dev/zero");
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    if timeout(millis(200), child.wait()).await.is_err() {
        println!("the program is blocked: the pipe is full");
    }
    let output = child.wait_with_output().await?;
    println!("{} bytes; {}", output.stdout.len(), output.status);

    println!("Both outputs in one pipe, which keeps their order:");
    #[cfg(unix)]
    {
        let mut command = sh("echo one; echo careful >&2; echo two");
        let (mut group, output) = spawn_merged(&mut command)?;
        show_lines(output).await?;
        println!("{}", group.leader.wait().await?);
    }

    println!("A program that does not exist:");
    let mut command = Command::new("no-such-program");
    report(run_to_end(&mut command, Vec::new(), long, show).await);

    part.tick().await;
    println!("Input, and its end:");
    let mut command = Command::new("sort");
    let mut group = Group::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let mut sorted = lines(&mut group.leader);
    if let Some(mut stdin) = group.leader.stdin.take() {
        stdin.write_all(b"pear\napple\n").await?;
        if timeout(millis(200), sorted.next()).await.is_err() {
            println!("sort waits for more");
        }
        // Here it is dropped, which closes it.
    }
    show_all(sorted).await?;
    println!("{}", group.leader.wait().await?);

    part.tick().await;
    println!("Too slow, and it stops when it is asked to:");
    let script = "trap 'echo saving; exit 0' TERM
                  echo working; sleep 60 & wait";
    let slow = Limits {
        run: millis(1_000),
        ..long
    };
    report(run_to_end(&mut sh(script), Vec::new(), slow, show).await);

    part.tick().await;
    println!("Too slow, and ignores SIGTERM:");
    let script = "trap '' TERM; echo working; sleep 60";
    let deaf = Limits {
        grace: millis(200),
        ..slow
    };
    report(run_to_end(&mut sh(script), Vec::new(), deaf, show).await);

    let script = "(echo a child of the child; sleep 1; echo its end) & wait";
    part.tick().await;
    println!("Only the child is killed; its own child keeps running:");
    let mut command = sh(script);
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut output = lines(&mut child);
    if let Some(line) = output.next().await {
        show(line?);
    }
    drop(child);
    show_all(output).await?;

    part.tick().await;
    println!("Killed as a group:");
    let mut group = Group::spawn(sh(script).stdout(Stdio::piped()))?;
    let mut output = lines(&mut group.leader);
    if let Some(line) = output.next().await {
        show(line?);
    }
    drop(group);
    show_all(output).await?;
    Ok(())
}
