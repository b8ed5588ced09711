//! Find where an error came from: a backtrace, and the places that the error passed.
//!
//! An error has no traceback unless its type holds a `Backtrace`. In async code, a
//! `Backtrace` lists the functions that await each other. A spawned task is run by the
//! runtime (Tokio's event loop), so the function that spawned the task is missing. Two
//! helpers of this file add a place (a file and a line) to an error. `at` adds the place
//! of its call, and `spawn_at` the place where the task was spawned. Without an error,
//! both cost nothing.
//!
//! A release build needs `debug = "line-tables-only"` in its profile. Otherwise its
//! backtraces do not show inlined functions.
//!
//! Trap: If `RUST_BACKTRACE=1` is not set, `Backtrace::capture` returns an empty
//! backtrace, and a backtrace of anyhow is empty, too. Set the variable, or call
//! `Backtrace::force_capture`.
//!
//! Trap: If a `thiserror` type has a field of type `Backtrace`, the compiler reports "use
//! of unstable library feature". Write `Box<Backtrace>`.
//!
//! In production: `tracing-error`'s `SpanTrace` lists the open spans (named stretches of
//! work in a log). A task has its spawner's spans only if it is spawned with
//! `in_current_span`.
//!
//! See also: `error_context`, `log_errors`, `panic_hook`, `debugging`.
//!
//! asyncio: BaseException.add_note, asyncio.create_task
//! differs: a traceback of asyncio goes through the task, to the function that awaits it

use std::backtrace::Backtrace;
use std::fmt::Display;
use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use anyhow::Context;
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// An error that holds the functions that awaited each other when the error arose.
#[derive(Debug, Error)]
#[error("the shop is closed")]
pub struct Closed {
    backtrace: Box<Backtrace>,
}

async fn load_price() -> Result<u32, Closed> {
    sleep(Duration::from_millis(200)).await;
    // `capture` would do so only if `RUST_BACKTRACE` is set.
    let backtrace = Box::new(Backtrace::force_capture());
    Err(Closed { backtrace })
}

async fn show_page(in_a_task: bool) -> Result<u32, Closed> {
    if in_a_task {
        let task = tokio::spawn(load_price());
        return task.await.expect("it neither panics nor is aborted");
    }
    load_price().await
}

/// Adds what was attempted, and where, to an error or to an empty `Option`.
pub trait At<T, E> {
    /// Returns an error that begins with this text and the caller's file and line.
    #[track_caller]
    fn at(self, attempted: impl Display) -> anyhow::Result<T>;
}

impl<T, E, R: Context<T, E>> At<T, E> for R {
    fn at(self, attempted: impl Display) -> anyhow::Result<T> {
        // Not in the closure, which has its own caller.
        let place = Location::caller();
        self.with_context(|| format!("{attempted} at {place}"))
    }
}

/// Spawns a task whose error names the place of this call, which no backtrace has.
#[track_caller]
pub fn spawn_at<T, E, R>(
    future: impl Future<Output = R> + Send + 'static,
) -> JoinHandle<anyhow::Result<T>>
where
    T: Send + 'static,
    R: Context<T, E>,
{
    let place = Location::caller();
    tokio::spawn(async move {
        let result = future.await;
        result.with_context(|| format!("in the task spawned at {place}"))
    })
}

async fn load_in_a_task() -> anyhow::Result<u32> {
    let task = spawn_at(load_price());
    task.await?.at("cannot show the page")
}

/// Returns the line of each function: whether it is in the error's backtrace.
fn frames(result: Result<u32, Closed>) -> [String; 2] {
    let backtrace = result.err().map(|error| error.backtrace.to_string());
    let backtrace = backtrace.unwrap_or_default();
    ["load_price", "show_page"].map(|function| {
        let there = backtrace.contains(&format!("::{function}::"));
        format!("{function}: {}", if there { "yes" } else { "no" })
    })
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (awaited, spawned) = tokio::join!(show_page(false), show_page(true));
    // Printing a backtrace blocks: the first one reads the symbols of the whole program.
    let printed = tokio::task::spawn_blocking(|| [frames(awaited), frames(spawned)]);

    println!("What was attempted, and where:");
    if let Err(error) = load_in_a_task().await {
        for cause in error.chain() {
            let line = cause.to_string();
            match line.split_once(" at ") {
                Some((attempted, _place)) => println!("{attempted}: place known"),
                None => println!("{line}"),
            }
        }
    }

    let [awaited, spawned] = printed.await?;
    println!("In the backtrace of an error:\n{}", awaited.join("\n"));
    println!("In that of a task's error:\n{}", spawned.join("\n"));
    Ok(())
}

//@ clock: real
