//! Wait until all tasks have ended, then look at each outcome: `asyncio.wait`.
//!
//! `tokio::spawn` returns a handle of each task. `futures::future::join_all` over the
//! handles waits for the last task, whatever the others return. The outcomes come in the
//! order of the list; asyncio's `done` is a set without an order. An outcome is a
//! `Result` in a `Result`: the outer one is an error if the task panicked or was aborted,
//! and the inner one is what the task returned. If the caller is cancelled, the tasks
//! keep running, as in asyncio.
//!
//! See also: `wait_with_timeout`, `wait_for_first`, `as_completed`, `gather_errors`.
//!
//! asyncio: asyncio.wait, asyncio.ALL_COMPLETED

use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::sleep;

async fn task(name: &str, seconds: u64) -> Result<String, String> {
    sleep(Duration::from_secs(seconds)).await;
    if name == "Task-2" {
        return Err(format!("{name} failed"));
    }
    Ok(format!("{name} completed"))
}

/// Returns what the task returned, its error, or how it was stopped.
pub fn describe(outcome: Result<Result<String, String>, JoinError>) -> String {
    match outcome {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => format!("Error: {error}"),
        Err(panicked_or_aborted) => format!("Stopped: {panicked_or_aborted}"),
    }
}

#[tokio::main]
async fn main() {
    let tasks = [task("Task-1", 2), task("Task-2", 1), task("Task-3", 3)];
    // done, pending = await asyncio.wait(tasks)
    let done = futures::future::join_all(tasks.map(tokio::spawn)).await;
    for outcome in done {
        println!("{}", describe(outcome));
    }
}
