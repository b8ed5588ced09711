//! Clean up after cancellation when the clean-up has to await: a `finally` for a task.
//!
//! A `finally` may await after a cancel, though a second cancel ends it there. An aborted
//! Rust task is dropped at its await, and no line after it runs: what needs no await goes
//! into a destructor (`drop_guard`). The trap is a clean-up that follows the body in the
//! same task: it runs after an error of the body, and never after an `abort`.
//! So let the body run in a task, and the clean-up in another that waits for its end; and
//! let the program wait for that one, as the end of `main` drops it too. The crate
//! `tokio-graceful-shutdown` does more: subsystems, nested, that are asked to stop in a
//! given time.
//!
//! asyncio: finally, asyncio.Task.cancel, asyncio.shield, asyncio.TaskGroup
//! differs: a finally runs after a cancel, and the caller waits for it

use std::time::Duration;

use tokio::select;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs the body, and when that has ended, however it did, the clean-up.
///
/// Dropped before it is ready, by an abort or a time limit, it stops the body at its
/// await; the clean-up runs all the same, in the tracker's task, and what the body had is
/// dropped before. Blocking work that the body has begun (also a `tokio::fs` call) runs
/// on; let it look at a flag, as in `timeout_of_blocking_work`, and wait for it in the
/// clean-up. That also runs if the body has not begun by then. Not polled at all, this
/// does nothing. Only the end of the runtime drops the clean-up: wait for the tracker.
///
/// # Errors
///
/// If the body or the clean-up panicked.
///
/// # Panics
///
/// Outside of a Tokio runtime.
pub async fn with_clean_up<T: Send + 'static>(
    tasks: &TaskTracker,
    body: impl Future<Output = T> + Send + 'static,
    clean_up: impl Future<Output = ()> + Send + 'static,
) -> Result<T, JoinError> {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tasks.spawn(async move {
        // A task of its own, so that a panic in it ends only that one.
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

/// Stands for a file: dropping it closes it.
struct File(&'static str);

impl Drop for File {
    fn drop(&mut self) {
        println!("{}: file closed", self.0);
    }
}

async fn build(job: &'static str) -> Result<(), String> {
    let _file = File(job);
    sleep(Duration::from_millis(200)).await;
    Err(format!("{job} failed"))
}

async fn remove_folder(job: &'static str) {
    println!("{job}: removing the folder");
    sleep(Duration::from_millis(200)).await;
    println!("{job}: removed");
}

async fn followed_by_clean_up(job: &'static str) {
    let result = build(job).await;
    remove_folder(job).await;
    report(result);
}

async fn build_and_clean_up(job: &'static str, tasks: TaskTracker) {
    let (body, clean_up) = (build(job), remove_folder(job));
    match with_clean_up(&tasks, body, clean_up).await {
        Ok(result) => report(result),
        Err(error) => println!("{error}"),
    }
}

fn report(result: Result<(), String>) {
    if let Err(error) = result {
        println!("{error}");
    }
}

/// Aborts the task after 0.1 s so many times, and says when it has ended.
async fn abort(task: JoinHandle<()>, times: u32) {
    sleep(Duration::from_millis(100)).await;
    for _ in 0..times {
        task.abort();
        sleep(Duration::from_millis(50)).await;
    }
    if task.await.is_err_and(|error| error.is_cancelled()) {
        println!("the task is cancelled");
    }
    sleep(Duration::from_millis(300)).await;
}

pub async fn run() {
    println!("The clean-up follows the body, which fails:");
    followed_by_clean_up("A").await;

    println!("It follows, and the task is aborted:");
    abort(tokio::spawn(followed_by_clean_up("B")), 1).await;

    println!("It follows, and the task is aborted twice:");
    abort(tokio::spawn(followed_by_clean_up("C")), 2).await;

    println!("It has a task of its own, and the body fails:");
    let tasks = TaskTracker::new();
    build_and_clean_up("D", tasks.clone()).await;

    println!("It has its own, and the body's caller is aborted twice:");
    abort(tokio::spawn(build_and_clean_up("E", tasks.clone())), 2).await;

    println!("The program ends while one is at work:");
    let task = tokio::spawn(build_and_clean_up("F", tasks.clone()));
    sleep(Duration::from_millis(100)).await;
    task.abort();
    tasks.close();
    tasks.wait().await;
    println!("all is clean");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
