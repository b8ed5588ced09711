//! Read a line from standard input with a timeout; why the program does not end after it.
//!
//! As with `run_in_executor`, `tokio::io::stdin` reads in a thread, and nothing stops a
//! read that has begun. Read in one thread of your own instead: a program does not wait
//! for it. By hand, `cargo run -- thread` gives five seconds for an answer.
//!
//! Bounds: two lines ahead. unbounded: the length of a line. `Lines` locks standard input
//! for ever, and ends at a line that is not UTF-8.
//!
//! Trap: an abandoned question leaves its read behind. That read takes the next line,
//! which is lost if each question has a new reader.
//!
//! Trap: the end of `main` waits for the read, until somebody presses Enter.
//! `Runtime::shutdown_background` and `process::exit` do not wait.
//!
//! In production: `crossterm` for single keys, `rustyline-async` for editing.
//!
//! asyncio: loop.run_in_executor, loop.call_soon_threadsafe, asyncio.timeout, os._exit
//! asyncio: asyncio.timeout(None), asyncio.StreamReader (async for line)
//! clock: real

use std::env;
use std::io::{self, BufRead, IsTerminal};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, stdin};
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

/// The lines that a separate thread reads, at most two lines ahead of the program.
///
/// After a drop the thread still takes the next line. So make one `Lines` for the whole
/// program, and keep it.
pub struct Lines {
    lines: mpsc::Receiver<io::Result<String>>,
}

impl Lines {
    /// Begins to read standard input.
    ///
    /// # Errors
    ///
    /// If the system has no thread for it.
    pub fn of_stdin() -> io::Result<Self> {
        Self::read(|| io::stdin().lock())
    }

    /// Begins to read what is opened in the thread.
    ///
    /// # Errors
    ///
    /// If the system has no thread for it.
    pub fn read<R: BufRead>(
        open: impl FnOnce() -> R + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, lines) = mpsc::channel(1);
        let read = move || {
            for line in open().lines() {
                let failed = line.is_err();
                if sender.blocking_send(line).is_err() || failed {
                    break;
                }
            }
        };
        // Nobody joins it, and a process does not wait for it.
        thread::Builder::new()
            .name("lines".to_owned())
            .spawn(read)?;
        Ok(Self { lines })
    }

    /// Returns the next line, without its end; `None` at the end of the input.
    /// Cancel-safe: what comes after a timeout is the answer to the next call.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is not UTF-8. No line comes after that.
    pub async fn next(&mut self) -> io::Result<Option<String>> {
        self.lines.recv().await.transpose()
    }
}

/// Runs it, as `#[tokio::main]` does, but does not wait for blocking calls at the end,
/// nor after a panic.
///
/// # Errors
///
/// If the system has no resources for a runtime.
pub fn block_on_and_leave<T>(program: impl Future<Output = T>) -> io::Result<T> {
    let runtime = Runtime::new()?;
    // A panic would drop the runtime, and that waits.
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(program)));
    runtime.shutdown_background();
    Ok(result.unwrap_or_else(|payload| resume_unwind(payload)))
}

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

#[tokio::main]
pub async fn main() -> io::Result<()> {
    run().await
}
