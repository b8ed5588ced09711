use std::io;
use std::time::Duration;

use futures::FutureExt;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::support::soon;
use crate::subprocess_protocol::{Event, Process};

const MINUTE: Duration = Duration::from_secs(60);

/// Much in both pipes, and `next` is dropped again and again.
#[tokio::test]
async fn nothing_is_lost_when_next_is_dropped() -> io::Result<()> {
    let script = "head -c 3000000 /dev/zero >&2 & head -c 2000000 /dev/zero; wait";
    let mut process = Process::spawn(Command::new("sh").arg("-c").arg(script))?;
    let (mut sizes, mut ends, mut exits) = ([0; 2], Vec::new(), 0);
    loop {
        let event = match process.next().now_or_never() {
            Some(event) => event?,
            None => {
                let short = Duration::from_micros(50);
                match timeout(short, process.next()).await {
                    Ok(event) => event?,
                    Err(_) => continue,
                }
            }
        };
        match event {
            Some(Event::Data(number, data)) => {
                sizes[usize::from(number) - 1] += data.len();
            }
            Some(Event::PipeLost(number)) => ends.push(number),
            Some(Event::Exited(status)) => {
                assert!(status.success());
                exits += 1;
            }
            None => break,
        }
    }
    ends.sort_unstable();
    assert_eq!(
        (sizes, ends, exits),
        ([2_000_000, 3_000_000], vec![1, 2], 1)
    );
    assert_eq!(process.next().await?, None);
    Ok(())
}

#[tokio::test]
async fn its_input_stays_open_while_the_exit_is_awaited() -> io::Result<()> {
    let mut process = Process::spawn(&mut Command::new("cat"))?;
    let tenth = Duration::from_millis(100);
    assert!(timeout(tenth, process.next()).await.is_err());
    let mut stdin = process.stdin.take().expect("it is piped");
    stdin.write_all(b"a").await?;
    let data = timeout(MINUTE, process.next()).await??;
    assert_eq!(data, Some(Event::Data(1, b"a".to_vec())));
    drop(stdin);
    let mut events = 0;
    while timeout(MINUTE, process.next()).await??.is_some() {
        events += 1;
    }
    assert_eq!(events, 3);
    Ok(())
}

/// The second trap.
#[tokio::test]
async fn to_wait_closes_an_input_that_was_not_taken() -> io::Result<()> {
    let mut command = Command::new("cat");
    let mut child = command.stdin(std::process::Stdio::piped()).spawn()?;
    assert!(timeout(MINUTE, child.wait()).await??.success());
    Ok(())
}

#[tokio::test]
async fn dropped_it_kills_the_child() -> io::Result<()> {
    let mut process = Process::spawn(Command::new("sleep").arg("1000"))?;
    let mut stdin = process.stdin.take().expect("it is piped");
    drop(process);
    // As long as the child lives, it could read.
    let writing = async { while stdin.write_all(b"a").await.is_ok() {} };
    soon(writing).await;
    Ok(())
}

/// The first trap.
#[tokio::test]
async fn a_grandchild_outlives_the_child_and_holds_its_pipes() -> io::Result<()> {
    let script = "(echo ready; read line; echo $line) <&3 & exec sleep 1000";
    let script = format!("exec 3<&0; {script}");
    let mut process = Process::spawn(Command::new("sh").arg("-c").arg(script))?;
    let mut stdin = process.stdin.take().expect("it is piped");
    let ready = soon(process.next()).await?;
    assert_eq!(ready, Some(Event::Data(1, b"ready\n".to_vec())));
    process.kill()?;
    assert!(matches!(
        soon(process.next()).await?,
        Some(Event::Exited(_))
    ));
    stdin.write_all(b"alive\n").await?;
    let mut output = Vec::new();
    while let Some(event) = soon(process.next()).await? {
        if let Event::Data(1, data) = event {
            output.extend(data);
        }
    }
    assert_eq!(output, b"alive\n");
    Ok(())
}
