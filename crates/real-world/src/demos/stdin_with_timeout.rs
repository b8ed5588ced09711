//! A program that asks three questions in three ways, and another that answers late.

use std::env;
use std::io::{self, IsTerminal};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, stdin};
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};

use crate::stdin_with_timeout::{self, block_on_and_leave};

enum Input {
    /// The trap: a reader for each question.
    Anew,
    Thread(stdin_with_timeout::Lines),
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
    let limit = Duration::from_millis(if by_hand { 5_000 } else { 500 });
    let day = Duration::from_secs(24 * 3600);
    for (question, limit) in [("name", day), ("colour", limit), ("animal", 3 * limit)] {
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
    answers: Lines<BufReader<ChildStderr>>,
}

impl Program {
    fn start(way: &str) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command.arg(way).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let answers = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let answers = BufReader::new(answers).lines();
        Ok(Self { child, answers })
    }

    /// Prints the answers to this question and those before it.
    async fn until(&mut self, question: &str) -> io::Result<()> {
        while let Some(line) = self.answers.next_line().await? {
            println!("{line}");
            if line.starts_with(question) {
                break;
            }
        }
        Ok(())
    }

    async fn enter(&mut self, line: &str) -> io::Result<()> {
        println!("> {line}");
        match &mut self.child.stdin {
            Some(stdin) => stdin.write_all(format!("{line}\n").as_bytes()).await,
            None => Ok(()),
        }
    }

    async fn until_it_ends(&mut self) -> io::Result<()> {
        self.child.wait().await?;
        println!("the program has ended");
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
        Some("thread") => {
            let lines = stdin_with_timeout::Lines::of_stdin()?;
            ask(Input::Thread(lines)).await
        }
        _ => show_all().await,
    }
}

async fn show_all() -> io::Result<()> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let mut anew = Program::start("anew")?;
    let mut leave = Program::start("leave")?;
    let mut thread = Program::start("thread")?;

    // They start meanwhile.
    at(1_000).await;
    println!("A reader for each question, and 0.5 s for the second answer:");
    anew.enter("Ada").await?;
    anew.until("colour").await?;
    anew.enter("cat").await?;
    anew.until("animal").await?;
    if anew.child.try_wait()?.is_none() {
        println!("the program has not ended");
    }
    println!("> the end of the input");
    drop(anew.child.stdin.take());
    anew.until_it_ends().await?;

    at(3_500).await;
    println!("The same, without waiting at the end:");
    leave.enter("Ada").await?;
    leave.until("colour").await?;
    leave.enter("cat").await?;
    leave.until("animal").await?;
    leave.until_it_ends().await?;

    at(6_000).await;
    println!("A thread and a channel:");
    thread.enter("Ada").await?;
    thread.until("colour").await?;
    thread.enter("cat").await?;
    thread.until("animal").await?;
    thread.until_it_ends().await
}
