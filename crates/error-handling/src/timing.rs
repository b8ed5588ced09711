//! Measure how long an async call takes: a timing decorator, elapsed time, a stopwatch.
//!
//! A decorator of a coroutine function is a function that takes a future. `Drop` does
//! what `finally` does: it also runs when a timeout or an abort drops the future, and the
//! report then says so. `tokio::time::Instant` obeys the paused clock of a test, std's
//! does not.
//!
//! Trap: calling an async function only creates a future. Put the await between the two
//! readings of the clock.
//!
//! Trap: inside of a retry each attempt is measured, outside all attempts and backoffs.
//!
//! In production: `tokio-metrics` tells the time in which a task worked from the time in
//! which it waited.
//!
//! asyncio: functools.wraps, time.perf_counter, finally

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

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
    /// It returned a value or an error.
    Returned,
    /// It was dropped before its end, or panicked.
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

/// Prints a report of `timed`, to a tenth of a second.
pub fn print_as(name: &str) -> impl FnOnce(Ending, Duration) {
    move |ending, took| match ending {
        Ending::Returned => println!("{name} took {:.1} s", took.as_secs_f64()),
        Ending::Stopped => {
            println!("{name} was stopped after {:.1} s", took.as_secs_f64());
        }
    }
}

/// Is timed wherever it is called.
async fn fetch(page: &str, millis: u64) -> Result<String, String> {
    let fetching = async {
        sleep(Duration::from_millis(millis)).await;
        if page == "/broken" {
            return Err(format!("{page} is broken"));
        }
        Ok(format!("the page {page}"))
    };
    timed(fetching, print_as("fetch")).await
}

/// Makes up to two attempts, with a pause in between.
async fn fetch_twice(page: &str) -> Result<String, String> {
    if let Ok(text) = fetch(page, 160).await {
        return Ok(text);
    }
    sleep(Duration::from_millis(260)).await;
    fetch(page, 160).await
}

pub async fn run() {
    println!("The call, and then its await:");
    let started = Instant::now();
    let future = fetch("/a", 260);
    print_as("the call")(Ending::Returned, started.elapsed());
    match future.await {
        Ok(text) => println!("got {text}"),
        Err(error) => println!("error: {error}"),
    }

    println!("A failure:");
    if let Err(error) = fetch("/broken", 260).await {
        println!("error: {error}");
    }

    println!("Stopped by a timeout, and by a cancellation:");
    let limit = Duration::from_millis(160);
    if timeout(limit, fetch("/slow", 500)).await.is_err() {
        println!("time is up");
    }
    let task = tokio::spawn(fetch("/slow", 500));
    sleep(Duration::from_millis(60)).await;
    task.abort();
    if let Err(error) = task.await
        && error.is_cancelled()
    {
        println!("cancelled");
    }

    println!("Two tries, each measured, and both together:");
    // Around the call, where only this caller wants it.
    let tries = timed(fetch_twice("/broken"), print_as("fetch_twice"));
    if let Err(error) = tries.await {
        println!("error: {error}");
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
