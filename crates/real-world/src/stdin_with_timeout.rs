//! Read a line from standard input with a timeout: the program still ends in time.
//!
//! `tokio::io::stdin` reads in a blocking thread, as asyncio's `run_in_executor` does,
//! and nothing can stop a read that has begun. At its end, a program waits for such a
//! thread of Tokio. So read in a thread that you start yourself, as the struct `Lines`
//! does: the program does not wait for it.
//!
//! Bounds: The thread reads at most two lines ahead, then it waits. Unbounded: The
//! length of a line. `Lines` keeps standard input locked, and ends at a line that is
//! not UTF-8.
//!
//! Trap: If you make a new reader for each question, you lose a line after a timeout:
//! the old read continues and takes the line that the user types next. Make one reader
//! and keep it.
//!
//! Trap: If you read with `tokio::io::stdin` and return from `main` after a timeout, the
//! program hangs until somebody presses Enter, because it waits for the read. Read with
//! `Lines`. Or end the program by `Runtime::shutdown_background` or `process::exit`,
//! which do not wait.
//!
//! asyncio: loop.run_in_executor, loop.call_soon_threadsafe, asyncio.timeout, os._exit
//! asyncio: asyncio.timeout(None), asyncio.StreamReader (async for line)

use std::future::Future;
use std::io::{self, BufRead};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// The lines that a separate thread reads, at most two lines ahead of the program.
///
/// After a drop the thread still takes the next line. So make one `Lines` for the whole
/// program, and keep it.
#[derive(Debug)]
pub struct Lines {
    lines: mpsc::Receiver<io::Result<String>>,
}

impl Lines {
    /// Starts a thread that reads standard input.
    pub fn of_stdin() -> io::Result<Self> {
        Self::read(|| io::stdin().lock())
    }

    /// Starts a thread that opens a reader and reads its lines.
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
        thread::Builder::new().spawn(read)?;
        Ok(Self { lines })
    }

    /// Returns the next line, without its end; `None` at the end of the input, and after
    /// an error. Cancel-safe: the next call returns a line that comes after a timeout.
    pub async fn next(&mut self) -> io::Result<Option<String>> {
        self.lines.recv().await.transpose()
    }
}

/// Runs the future, as `#[tokio::main]` does, but does not wait for blocking calls at the
/// end, nor after a panic.
pub fn block_on_and_leave<T>(program: impl Future<Output = T>) -> io::Result<T> {
    let runtime = Runtime::new()?;
    // A panic would drop the runtime, and that waits.
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(program)));
    runtime.shutdown_background();
    Ok(result.unwrap_or_else(|payload| resume_unwind(payload)))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let mut lines = Lines::of_stdin()?;
    println!("Your name?");
    let limit = std::time::Duration::from_secs(10);
    match tokio::time::timeout(limit, lines.next()).await {
        Ok(line) => match line? {
            Some(name) => println!("Hello, {name}"),
            None => println!("the input has ended"),
        },
        Err(_) => println!("no answer in time"),
    }
    Ok(())
}

//@ clock: real
//@ try: -> the input has ended
