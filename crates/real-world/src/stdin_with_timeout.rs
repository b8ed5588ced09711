//! Read a line from standard input with a timeout: the program still ends in time.
//!
//! As with `run_in_executor`, `tokio::io::stdin` reads in a thread, and nothing stops a
//! read that has begun. Read in your own thread: the program does not wait for its end.
//!
//! Bounds: The thread reads two lines ahead. Unbounded: The length of a line. `Lines`
//! keeps standard input locked, and ends at a line that is not UTF-8.
//!
//! Trap: After a timeout the read continues, and takes the next line. If each question
//! makes a new reader, the line is lost.
//!
//! Trap: The end of `main` waits for the read, until somebody presses Enter.
//! `Runtime::shutdown_background` and `process::exit` do not wait.
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
