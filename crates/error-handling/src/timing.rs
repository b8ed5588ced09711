//! Measure how long an async call takes: a timing decorator, elapsed time, a stopwatch.
//!
//! Instead of decorating a coroutine function, pass its future to a function, here
//! `timed`. At the end of the future, `timed` calls the closure `report` with the elapsed
//! time. The call is made in a `Drop`. Like `finally`, a `Drop` runs even when a timeout
//! or an abort drops the future. `report` then learns that the future was stopped.
//!
//! `tokio::time::Instant` follows the paused clock of a test; std's `Instant` does not.
//!
//! Trap: If you read the clock, call an async function without an await, and read the
//! clock again, you measure nothing: the call only creates a future. Put the await
//! between the two readings.
//!
//! Trap: If you time a call that is retried, you may measure the wrong thing. Put `timed`
//! inside the retry to measure each attempt. Put it around the retry to measure all
//! attempts and backoffs together.
//!
//! In production: `tokio-metrics` measures separately how long a task worked and how long
//! it waited.
//!
//! asyncio: functools.wraps, time.perf_counter, finally, contextlib.ContextDecorator

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// Runs the future, and reports how long it took from its first poll.
///
/// `report` is called once, however the future ends. A panic counts as stopped.
pub async fn timed<F: Future>(
    future: F,
    report: impl FnOnce(Ending, Duration),
) -> F::Output {
    let mut stopwatch = Stopwatch {
        started: Instant::now(),
        ending: Ending::Stopped,
        report: Some(report),
    };
    let output = future.await;
    stopwatch.ending = Ending::Returned;
    output
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The future returned a value or an error.
    Returned,
    /// The future was dropped before its end, or panicked.
    Stopped,
}

/// Reports when it is dropped, however the function ends.
struct Stopwatch<R: FnOnce(Ending, Duration)> {
    started: Instant,
    ending: Ending,
    report: Option<R>,
}

impl<R: FnOnce(Ending, Duration)> Drop for Stopwatch<R> {
    fn drop(&mut self) {
        if let Some(report) = self.report.take() {
            report(self.ending, self.started.elapsed());
        }
    }
}

/// Returns a `report` for `timed`, which prints the time to a tenth of a second.
pub fn print_as(name: &str) -> impl FnOnce(Ending, Duration) + '_ {
    move |ending, took| match ending {
        Ending::Returned => println!("{name} took {:.1} s", took.as_secs_f64()),
        Ending::Stopped => {
            println!("{name} was stopped after {:.1} s", took.as_secs_f64());
        }
    }
}

/// Times a connection to a host: `cargo run -- localhost:5432`.
#[tokio::main]
async fn main() -> std::io::Result<()> {
    let host = std::env::args().nth(1).unwrap_or_default();
    let connect = tokio::net::TcpStream::connect(host);
    timed(connect, print_as("connect")).await.map(drop)
}

//@ try: 127.0.0.1:1 -> connect took 0.0 s
