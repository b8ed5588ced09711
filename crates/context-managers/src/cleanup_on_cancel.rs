//! Clean up after cancellation when the clean-up has to await, as in a `finally`.
//!
//! A `finally` may await after a cancel, though a second cancel ends it there. An aborted
//! Rust task is dropped at its current await, and no later line runs. So the clean-up
//! runs in a task of its own, which waits for the end of the body. A clean-up that awaits
//! nothing belongs in a destructor: see `drop_guard`.
//!
//! Trap: a clean-up that follows the body in the same task runs after an error of the
//! body, but never after an `abort`.
//!
//! Trap: the end of `main` drops the clean-up. Wait for the `TaskTracker` before.
//!
//! See also: `drop_guard`, `exit_stack`, `shield_and_clean_up`, `graceful_shutdown`.
//!
//! asyncio: finally, asyncio.Task.cancel, asyncio.shield, asyncio.TaskGroup
//! differs: a finally runs after a cancel, and the caller waits for it

use std::time::Duration;

use tokio::select;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs the body in a task, and then the clean-up, however the body has ended.
///
/// Dropping the future, as an abort or a timeout does, stops the body at its current
/// await. The clean-up then runs in a task of the tracker, after all that the body owned
/// was dropped. It also runs if the body has not started by then. A future that was never
/// polled does nothing.
///
/// Blocking work of the body, such as a call of `tokio::fs`, goes on meanwhile. Let it
/// check a flag, and wait for it in the clean-up (`timeout_of_blocking_work`).
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

/// A file that is closed when it is dropped.
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

/// Cancels the task after 0.1 s, `times` times.
async fn cancel(task: JoinHandle<()>, times: u32) {
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

    println!("It follows, and the task is cancelled:");
    cancel(tokio::spawn(followed_by_clean_up("B")), 1).await;

    println!("It follows, and the task is cancelled twice:");
    cancel(tokio::spawn(followed_by_clean_up("C")), 2).await;

    println!("It has a task of its own, and the body fails:");
    let tasks = TaskTracker::new();
    build_and_clean_up("D", tasks.clone()).await;

    println!("It has its own, and the body's task is cancelled twice:");
    cancel(tokio::spawn(build_and_clean_up("E", tasks.clone())), 2).await;

    println!("It has its own, and a group is cancelled with the body's task in it:");
    let mut group = JoinSet::new();
    group.spawn(build_and_clean_up("F", tasks.clone()));
    sleep(Duration::from_millis(100)).await;
    group.shutdown().await;
    sleep(Duration::from_millis(300)).await;

    println!("The program ends meanwhile:");
    let task = tokio::spawn(build_and_clean_up("G", tasks.clone()));
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
