//! Leave a set of tasks early: dropping a `JoinSet` aborts them and does not wait.
//!
//! Leaving a `TaskGroup` cancels its tasks and waits until they have ended. A dropped
//! `JoinSet` does not wait: its tasks may still write to a file afterwards. `shutdown`
//! aborts all tasks and waits for them. Call it on every way out, also when a task has
//! panicked: collect the outcome first, shut down, then return the outcome.
//!
//! Trap: `join_next` nests two `Result`s, hence `result??`. A `?` before `shutdown`
//! returns early, and nobody waits for the other tasks.
//!
//! Trap: if the caller is cancelled itself, the set is only dropped. And `shutdown` waits
//! until blocking tasks of the set end.
//!
//! See also: `task_group`, `drop_or_detach`, `background_tasks`.
//!
//! asyncio: asyncio.TaskGroup
//! clock: real
//! differs: asyncio waits for a group that is left, dropping a set of Tokio does not

use std::error::Error;
use std::thread;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

type BoxError = Box<dyn Error + Send + Sync>;

/// Waits until all tasks have ended, or until the first error or panic.
///
/// On an error the set is dropped: its tasks are aborted, and may still be running when
/// this returns.
///
/// # Errors
///
/// The first error of a task, or the `JoinError` of a task that panicked.
pub async fn join_or_drop<E: Into<BoxError> + 'static>(
    mut tasks: JoinSet<Result<(), E>>,
) -> Result<(), BoxError> {
    join_all(&mut tasks).await
}

/// Waits until all tasks have ended. After the first error or panic it aborts the other
/// tasks, and returns when they are gone.
///
/// If this future is dropped, the tasks are aborted and nobody waits for them.
///
/// # Errors
///
/// The first error of a task, or the `JoinError` of a task that panicked.
pub async fn join_or_shut_down<E: Into<BoxError> + 'static>(
    mut tasks: JoinSet<Result<(), E>>,
) -> Result<(), BoxError> {
    let outcome = join_all(&mut tasks).await;
    tasks.shutdown().await;
    outcome
}

async fn join_all<E: Into<BoxError> + 'static>(
    tasks: &mut JoinSet<Result<(), E>>,
) -> Result<(), BoxError> {
    while let Some(joined) = tasks.join_next().await {
        joined?.map_err(Into::into)?;
    }
    Ok(())
}

/// Stands for a file, which takes a while to close.
struct File;

impl Drop for File {
    fn drop(&mut self) {
        thread::sleep(Duration::from_millis(100));
        println!("The file is closed");
    }
}

async fn write() -> Result<(), String> {
    let _file = File;
    for line in 1..=4 {
        sleep(Duration::from_millis(100)).await;
        println!("Line {line}");
    }
    Ok(())
}

async fn fail() -> Result<(), String> {
    sleep(Duration::from_millis(250)).await;
    Err(String::from("The disk is full"))
}

fn start() -> JoinSet<Result<(), String>> {
    let mut tasks = JoinSet::new();
    tasks.spawn(write());
    tasks.spawn(fail());
    tasks
}

pub async fn run() {
    println!("A set of tasks is dropped:");
    if let Err(error) = join_or_drop(start()).await {
        println!("Error: {error}");
    }
    sleep(Duration::from_millis(300)).await;

    println!("A set of tasks is shut down:");
    if let Err(error) = join_or_shut_down(start()).await {
        println!("Error: {error}");
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
