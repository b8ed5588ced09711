//! Cancel a task: where the task stops, what still runs, and why it cannot refuse.
//!
//! Like asyncio's `cancel`, `abort` stops a task at its current await. But nothing is
//! raised in the task: its future is dropped, and so are all values that the future owns.
//! So no handler in the task can swallow the cancellation. If you await the task's
//! handle, you get an error that says that the task was cancelled.
//!
//! Trap: If you abort a task whose clean-up has to await, the clean-up does not run: only
//! `Drop` runs, and `Drop` cannot await as `finally` can. Instead of the abort, cancel a
//! `CancellationToken`, a flag that the task waits for. In the task, pass the future of
//! the work to the token's `run_until_cancelled`. When the token is cancelled, only the
//! work is dropped, and the task continues with its clean-up.
//!
//! Trap: If the aborted task awaits a second task, the second task keeps running. asyncio
//! cancels both. Wrap the second task's handle in `AbortOnDropHandle`, which aborts its
//! task when it is dropped.
//!
//! See also: `cancellation_tree`, `cleanup_on_cancel`, `cancel_safety`.
//!
//! asyncio: asyncio.Task.cancel, asyncio.Task.cancelled, asyncio.CancelledError, finally
//! differs: asyncio's cancellation can be swallowed, and reaches a task that is awaited

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

async fn write(lines: u32) -> String {
    for line in 1..=lines {
        sleep(Duration::from_millis(200)).await;
        println!("line {line}");
    }
    format!("{lines} written")
}

struct File;

impl Drop for File {
    fn drop(&mut self) {
        println!("the file is closed");
    }
}

async fn write_to_file(lines: u32) -> String {
    let _file = File;
    write(lines).await
}

async fn write_in_any_case(lines: u32) -> String {
    // try: return await write_to_file(lines) ... except: ...
    let outcome = AssertUnwindSafe(write_to_file(lines)).catch_unwind().await;
    outcome.unwrap_or_else(|_| {
        println!("an error is ignored");
        "none written".to_string()
    })
}

async fn write_in_a_task(lines: u32) -> String {
    let task = tokio::spawn(write(lines));
    task.await.unwrap_or_else(|error| error.to_string())
}

/// Writes in a task that is aborted when its handle is dropped.
async fn write_in_a_bound_task(lines: u32) -> String {
    let task = AbortOnDropHandle::new(tokio::spawn(write(lines)));
    task.await.unwrap_or_else(|error| error.to_string())
}

/// Writes until the token asks it to stop, and then cleans up with an await.
async fn write_and_clean_up(lines: u32, stop: CancellationToken) {
    stop.run_until_cancelled(write(lines)).await;
    sleep(Duration::from_millis(100)).await;
    println!("cleaned up");
}

/// Cancels the task after 0.5 s, and prints how it ended.
async fn cancel(task: JoinHandle<String>) -> Result<(), JoinError> {
    sleep(Duration::from_millis(500)).await;
    task.abort();
    match task.await {
        Err(error) if error.is_cancelled() => println!("the task was cancelled"),
        outcome => println!("{}", outcome?),
    }
    sleep(Duration::from_millis(500)).await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    println!("Cancelled at an await:");
    cancel(tokio::spawn(write_to_file(4))).await?;

    println!("Cancelled inside of code that catches everything:");
    cancel(tokio::spawn(write_in_any_case(4))).await?;

    println!("Cancelled while it awaits a task that it has spawned:");
    cancel(tokio::spawn(write_in_a_task(4))).await?;

    println!("Cancelled while it awaits a task that is aborted with it:");
    cancel(tokio::spawn(write_in_a_bound_task(4))).await?;

    println!("Asked to stop by a token, with a clean-up that awaits:");
    let stop = CancellationToken::new();
    let task = tokio::spawn(write_and_clean_up(4, stop.clone()));
    sleep(Duration::from_millis(500)).await;
    stop.cancel();
    task.await
}
