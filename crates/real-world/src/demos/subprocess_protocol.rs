//! A program whose events come in every order, and one that is killed.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::{Instant, interval_at, sleep};

use crate::subprocess_protocol::{Event, Process};

/// What the callbacks of a protocol would do.
async fn show(process: &mut Process) -> io::Result<()> {
    while let Some(event) = process.next().await? {
        match event {
            Event::Data(number, data) => {
                println!("{number}: {}", data.trim_ascii_end().escape_ascii());
            }
            Event::PipeLost(number) => println!("{number}: the end"),
            Event::Exited(status) => match status.code() {
                Some(code) => println!("exit code {code}"),
                None => println!("ended by a signal"),
            },
        }
    }
    println!("all has ended");
    Ok(())
}

pub async fn run() -> io::Result<()> {
    // Each part begins at its time, however long the one before it took.
    let first = Instant::now() + Duration::from_millis(200);
    let mut part = interval_at(first, Duration::from_millis(1000));
    let tenth = Duration::from_millis(100);

    part.tick().await;
    println!("Output, the end of one pipe, the exit, and output after that:");
    let script = "read name; echo hello $name; sleep 0.2; exec >&-; sleep 0.2
                  (sleep 0.2; echo late >&2) & exit 3";
    let mut process = Process::spawn(Command::new("sh").arg("-c").arg(script))?;
    if let Some(stdin) = &mut process.stdin {
        // transport.get_pipe_transport(0).write(b"world\n")
        stdin.write_all(b"world\n").await?;
    }
    show(&mut process).await?;

    part.tick().await;
    println!("Killed while it waits for more input:");
    let mut process = Process::spawn(&mut Command::new("cat"))?;
    if let Some(stdin) = &mut process.stdin {
        stdin.write_all(b"some input\n").await?;
    }
    if let Some(Event::Data(number, data)) = process.next().await? {
        println!("{number}: {}", data.trim_ascii_end().escape_ascii());
    }
    sleep(tenth).await;
    println!("has ended: {}", process.status()?.is_some());
    process.kill()?;
    // Exit and ends come in any order.
    while process.next().await?.is_some() {}
    let status = process.status()?;
    println!("has ended: {}", status.is_some());
    if status.is_some_and(|status| status.code().is_none()) {
        println!("ended by a signal");
    }
    Ok(())
}
