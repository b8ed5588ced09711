//! A program that asks three questions in three ways, and another that answers late.

use std::env;
use std::io::{self, IsTerminal};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin};
use tokio::process::{Child, Command};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::stdin_with_timeout::{Lines, block_on_and_leave};

enum Input {
    /// The trap: a reader for each question.
    Anew,
    Thread(Lines),
}

impl Input {
    async fn next(&mut self) -> io::Result<Option<String>> {
        match self {
            Self::Anew => BufReader::new(stdin()).lines().next_line().await,
            Self::Thread(lines) => lines.next().await,
        }
    }
}

/// The program that asks. It answers on standard error.
async fn ask(mut input: Input) -> io::Result<()> {
    let by_hand = io::stdin().is_terminal();
    let limit = Duration::from_millis(if by_hand { 5000 } else { 200 });
    let day = Duration::from_secs(24 * 3600);
    for (question, limit) in [("name", day), ("colour", limit), ("animal", limit)] {
        if by_hand {
            eprintln!("{question}?");
        }
        match timeout(limit, input.next()).await {
            Ok(Ok(Some(line))) => eprintln!("{question}: {line}"),
            Ok(Ok(None)) => eprintln!("{question}: the input has ended"),
            Ok(Err(error)) => return Err(error),
            Err(_) => eprintln!("{question}: no answer in time"),
        }
    }
    Ok(())
}

/// This program once more, with a pipe for its input.
struct Program {
    child: Child,
    _answers: AbortOnDropHandle<()>,
}

impl Program {
    fn start(way: &str) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.arg(way).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let answers = child.stderr.take();
        let answers = tokio::spawn(async {
            if let Some(answers) = answers {
                let mut lines = BufReader::new(answers).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    println!("{line}");
                }
            }
        });
        let _answers = AbortOnDropHandle::new(answers);
        Ok(Self { child, _answers })
    }

    async fn enter(&mut self, line: &str) -> io::Result<()> {
        println!("> {line}");
        match &mut self.child.stdin {
            Some(stdin) => stdin.write_all(format!("{line}\n").as_bytes()).await,
            None => Ok(()),
        }
    }

    fn look(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            Some(_) => println!("the program has ended"),
            None => println!("the program has not ended"),
        }
        Ok(())
    }
}

pub async fn run() -> io::Result<()> {
    let way = env::args().nth(1);
    match way.as_deref() {
        Some("anew") => ask(Input::Anew).await,
        // As it may not block a worker. In a program this is the whole of `main`.
        Some("leave") => {
            spawn_blocking(|| block_on_and_leave(ask(Input::Anew))).await??
        }
        Some("thread") => ask(Input::Thread(Lines::of_stdin()?)).await,
        _ => show_all().await,
    }
}

async fn show_all() -> io::Result<()> {
    let start = Instant::now();
    let at = |tenths| sleep_until(start + Duration::from_millis(100) * tenths);
    let mut anew = Program::start("anew")?;
    let mut leave = Program::start("leave")?;
    let mut thread = Program::start("thread")?;

    at(10).await;
    println!("A reader for each question, and 0.2 s for an answer:");
    anew.enter("Ada").await?;
    at(13).await;
    anew.enter("cat").await?;
    at(16).await;
    anew.look()?;
    println!("> the end of the input");
    drop(anew.child.stdin.take());
    at(18).await;
    anew.look()?;

    at(20).await;
    println!("The same, without waiting at the end:");
    leave.enter("Ada").await?;
    at(23).await;
    leave.enter("cat").await?;
    at(26).await;
    leave.look()?;

    at(30).await;
    println!("A thread and a channel:");
    thread.enter("Ada").await?;
    at(33).await;
    thread.enter("cat").await?;
    at(36).await;
    thread.look()
}
