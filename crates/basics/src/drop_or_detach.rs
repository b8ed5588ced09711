//! Drop a task's handle and it runs on (it is detached); here is what does stop a task.
//!
//! Dropping a `JoinHandle` stops nothing, so a function that returns early leaves its
//! tasks running. `abort` is `cancel`: the task ends at its await. An `AbortOnDropHandle`
//! aborts when it is dropped, so keep it: "unused `AbortOnDropHandle` that must be used".
//! A `JoinSet`, a set of tasks, so aborts all of them. Neither waits for their end, as
//! leaving a `TaskGroup` does: `shutdown().await` waits. A `timeout`, a time limit,
//! around a handle ends the waiting and not the task, which `asyncio.timeout` would
//! cancel. And no `abort` ends what runs in `spawn_blocking`: it has no await.
//!
//! asyncio: asyncio.Task.cancel, asyncio.TaskGroup, asyncio.timeout
//! differs: asyncio waits for a group that is left, and a time limit cancels the task

use std::error::Error;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

type Failure = Box<dyn Error + Send + Sync>;

const LIMIT: Duration = Duration::from_millis(250);
const REST: Duration = Duration::from_millis(200);

async fn count() {
    for step in 1..=4 {
        sleep(Duration::from_millis(100)).await;
        println!("Step {step}");
    }
}

async fn fail() -> Result<(), String> {
    sleep(LIMIT).await;
    Err(String::from("The disk is full"))
}

/// Stands for a file: dropping it closes it.
struct File;

impl Drop for File {
    fn drop(&mut self) {
        println!("The file is closed");
    }
}

async fn count_into_file() -> Result<(), String> {
    let _file = File;
    count().await;
    Ok(())
}

fn start() -> JoinSet<Result<(), String>> {
    let mut tasks = JoinSet::new();
    tasks.spawn(count_into_file());
    tasks.spawn(fail());
    tasks
}

/// The first error leaves the function, and with it goes the set.
pub async fn count_or_fail() -> Result<(), Failure> {
    let mut tasks = start();
    while let Some(outcome) = tasks.join_next().await {
        outcome??;
    }
    Ok(())
}

/// The first error ends the tasks, and when it leaves the function they are gone.
pub async fn count_or_shut_down() -> Result<(), Failure> {
    let mut tasks = start();
    while let Some(outcome) = tasks.join_next().await {
        if let Err(error) = outcome? {
            tasks.shutdown().await;
            return Err(error.into());
        }
    }
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    println!("A handle is dropped:");
    drop(tokio::spawn(count()));
    sleep(LIMIT + REST).await;

    println!("A task is aborted:");
    let task = tokio::spawn(count());
    sleep(LIMIT).await;
    task.abort();
    match task.await {
        Err(error) if error.is_cancelled() => println!("The task is cancelled"),
        outcome => outcome?,
    }
    sleep(REST).await;

    println!("A handle that aborts is dropped at the end of a block:");
    {
        let _task = AbortOnDropHandle::new(tokio::spawn(count()));
        sleep(LIMIT).await;
    }
    sleep(REST).await;

    println!("A set of tasks is dropped by an early return:");
    if let Err(error) = count_or_fail().await {
        println!("Error: {error}");
    }
    sleep(REST).await;

    println!("A set of tasks is shut down before the return:");
    if let Err(error) = count_or_shut_down().await {
        println!("Error: {error}");
    }
    sleep(REST).await;

    println!("A task is asked to stop:");
    // A flag that all its clones share and can wait for. What `run_until_cancelled` runs
    // is dropped when the flag is set; the task itself goes on.
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        stopped.run_until_cancelled(count()).await;
        sleep(Duration::from_millis(100)).await;
        println!("Cleaned up");
    });
    sleep(LIMIT).await;
    stop.cancel();
    task.await?;

    println!("A time limit around a handle:");
    if timeout(LIMIT, tokio::spawn(count())).await.is_err() {
        println!("Time is up");
    }
    sleep(REST).await;

    println!("A time limit around a handle that aborts:");
    let task = AbortOnDropHandle::new(tokio::spawn(count()));
    if timeout(LIMIT, task).await.is_err() {
        println!("Time is up");
    }
    sleep(REST).await;
    println!("The end");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
