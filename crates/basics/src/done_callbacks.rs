//! Done callbacks: call a function when a task has ended, however it ended.
//!
//! Tokio's handles take no callbacks. A second task awaits the handle and calls the
//! function with the outcome: the value, or a `JoinError` if the task panicked or was
//! aborted. To remove the callback, abort the second task: the first one runs on.
//!
//! Trap: a call at the end of the task's own body is no done callback, and neither is
//! `FutureExt::inspect`. After an abort or a panic, that call never happens.
//!
//! See also: `task_results`, `awaitables`, `background_tasks`.
//!
//! asyncio: asyncio.Task.add_done_callback, asyncio.Task.remove_done_callback
//! asyncio: asyncio.Future.add_done_callback, asyncio.Future.remove_done_callback
//! stderr: the page is empty

use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;

/// Calls the function with the outcome of the task when the task has ended, or soon if it
/// has ended already.
///
/// Abort the returned handle to remove the callback, await it to wait for the callback.
///
/// # Panics
///
/// Outside of a Tokio runtime.
pub fn add_done_callback<T: Send + 'static>(
    task: JoinHandle<T>,
    callback: impl FnOnce(Result<T, JoinError>) + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async { callback(task.await) })
}

async fn fetch(page: &'static str) -> &'static str {
    sleep(Duration::from_millis(100)).await;
    assert!(page != "empty", "the page is empty");
    println!("fetched {page}");
    page
}

fn report(outcome: Result<&str, JoinError>) {
    match outcome {
        Ok(page) => println!("callback: {page}"),
        Err(error) if error.is_cancelled() => println!("callback: cancelled"),
        Err(_) => println!("callback: failed"),
    }
}

pub async fn run() {
    println!("A task that succeeds, one that fails, one that is cancelled:");
    for page in ["news", "empty", "slow"] {
        let task = tokio::spawn(fetch(page));
        let abort = task.abort_handle();
        add_done_callback(task, report);
        sleep(Duration::from_millis(50)).await;
        if page == "slow" {
            abort.abort();
        }
        sleep(Duration::from_millis(100)).await;
    }

    println!("A callback that is removed:");
    let callback = add_done_callback(tokio::spawn(fetch("news")), report);
    callback.abort();
    sleep(Duration::from_millis(150)).await;
}

#[tokio::main]
pub async fn main() {
    run().await;
}
