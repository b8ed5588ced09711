//! Clean up after cancellation when the clean-up has to await, as in a `finally`.
//!
//! In asyncio, a `finally` may await after a cancel, until a second cancel interrupts it.
//! An aborted task of Tokio is dropped at its current await, and no later line of the
//! task runs. So the function `with_clean_up` below runs the clean-up in a separate task,
//! after the body has ended. If the clean-up does not await, put it into a destructor:
//! see `drop_guard`.
//!
//! Trap: If you write the clean-up after the body in the same task, the clean-up runs
//! after an error of the body, but never after an `abort`. Pass the body and the clean-up
//! to `with_clean_up` instead.
//!
//! Trap: If `main` ends during a clean-up, the clean-up is dropped half-way. You pass a
//! `TaskTracker`, which counts the tasks, to `with_clean_up`. At the end of `main`, wait
//! for this tracker.
//!
//! See also: `drop_guard`, `exit_stack`, `shield_and_clean_up`, `graceful_shutdown`.
//!
//! asyncio: finally, asyncio.Task.cancel, asyncio.shield, asyncio.TaskGroup
//! differs: in asyncio a finally runs after a cancel, and the caller waits for it

use std::future::Future;

use tokio::select;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs the body in a task, and then the clean-up, however the body has ended.
///
/// Dropping the future, as an abort or a timeout does, stops the body at its current
/// await. All values of the body are dropped, and then the clean-up runs in a task of the
/// tracker. The clean-up also runs if the body has not started by then. A future that was
/// never awaited does nothing.
///
/// Blocking work of the body, such as a call of `tokio::fs`, keeps running. Let
/// the work check a flag, and wait for it in the clean-up (`timeout_of_blocking_work`).
///
/// # Errors
///
/// If the body or the clean-up panicked.
///
/// # Panics
///
/// Outside a Tokio runtime.
pub async fn with_clean_up<T: Send + 'static>(
    tasks: &TaskTracker,
    body: impl Future<Output = T> + Send + 'static,
    clean_up: impl Future<Output = ()> + Send + 'static,
) -> Result<T, JoinError> {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tasks.spawn(async move {
        // The body has its own task: a panic ends only that task.
        let mut body = tokio::spawn(body);
        let ended = select! {
            ended = &mut body => ended,
            () = stopped.cancelled() => {
                body.abort();
                body.await
            }
        };
        clean_up.await;
        ended
    });
    // Cancels the token when this future is dropped.
    let _guard = stop.drop_guard();
    task.await?
}

/// Holds a lock file for some milliseconds, at most 100: `cargo run -- app.lock 5000`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(millis)) = (args.next(), args.next()) else {
        return Err("usage: FILE MILLISECONDS".into());
    };
    let millis = std::time::Duration::from_millis(millis.parse()?);
    tokio::fs::write(&path, "").await?;
    let clean_up = async move {
        match tokio::fs::remove_file(&path).await {
            Ok(()) => println!("{path} is removed"),
            Err(error) => eprintln!("{path}: {error}"),
        }
    };
    let tasks = TaskTracker::new();
    let work = with_clean_up(&tasks, tokio::time::sleep(millis), clean_up);
    let limit = std::time::Duration::from_millis(100);
    if tokio::time::timeout(limit, work).await.is_err() {
        println!("timed out");
    }
    tasks.close();
    tasks.wait().await;
    Ok(())
}

//@ try: app.lock 5000 -> app.lock is removed
