//! Drop a task's handle and the task keeps running; here is what does stop a task.
//!
//! If you drop a `JoinHandle`, its task is detached: it keeps running. So a function that
//! returns early leaves its tasks running. Like `cancel`, `abort` stops a task at its
//! current await. An `AbortOnDropHandle` of the crate `tokio-util` aborts its task when
//! the handle is dropped. An abort only asks the task to stop: to wait for the end of the
//! task, await its handle.
//!
//! Trap: If you do not bind an `AbortOnDropHandle` to a name, it aborts its task
//! immediately, and the compiler warns "unused `AbortOnDropHandle` that must be used".
//! `let _ = ...` also aborts immediately, without a warning. Write `let _task = ...`: a
//! name keeps the handle to the end of the block.
//!
//! Trap: If you put a `timeout` around a handle, it stops only the waiting: the task
//! keeps running. Put the `timeout` around an `AbortOnDropHandle`. A call in
//! `spawn_blocking` keeps running in any case: it has no await where an abort could stop
//! it.
//!
//! See also: `drop_a_join_set`, `background_tasks`, `cancellation`, `task_in_a_struct`.
//!
//! asyncio: asyncio.Task.cancel, asyncio.timeout
//! differs: a timeout stops only the waiting for a task; in asyncio it cancels the task

use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

const LIMIT: Duration = Duration::from_millis(250);
const REST: Duration = Duration::from_millis(200);

async fn count() {
    for step in 1..=4 {
        sleep(Duration::from_millis(100)).await;
        println!("Step {step}");
    }
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
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

    println!("A timeout around a handle:");
    if timeout(LIMIT, tokio::spawn(count())).await.is_err() {
        println!("Timed out");
    }
    sleep(REST).await;

    println!("A timeout around a handle that aborts:");
    let task = AbortOnDropHandle::new(tokio::spawn(count()));
    if timeout(LIMIT, task).await.is_err() {
        println!("Timed out");
    }
    sleep(REST).await;
    println!("The end");
    Ok(())
}
