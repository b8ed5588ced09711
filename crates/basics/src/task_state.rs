//! Look at a task: finished or not, cancelled or not, its id and its name.
//!
//! `is_finished` is asyncio's `done`, and awaiting a finished task returns its result
//! immediately. `abort` is asyncio's `cancel`. An abort only asks the task to stop, so
//! await the handle to learn whether the task was cancelled. A task has an id, but a name
//! only in builds with tokio's unstable features. So keep a table of names by id, or use
//! a `JoinMap` of tokio-util, a set of tasks by your own keys.
//!
//! Trap: If you abort a task right after you have spawned it, its first lines may run all
//! the same, because another thread may already have started it. In asyncio a task that
//! is cancelled before its first step never runs. If the task must not begin yet, let it
//! wait for a signal first.
//!
//! See also: `task_results`, `done_callbacks`, `drop_or_detach`.
//!
//! asyncio: asyncio.Task.done, asyncio.Task.cancel, asyncio.Task.cancelled
//! asyncio: asyncio.create_task(name=), asyncio.Task.get_name, asyncio.Task.set_name

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;

async fn long_running_task() -> &'static str {
    for step in 0..5 {
        sleep(Duration::from_millis(200)).await;
        println!("Step {step}");
    }
    "Completed"
}

async fn sleep_long() -> &'static str {
    sleep(Duration::from_secs(3600)).await;
    "Awake"
}

fn state<T>(task: &JoinHandle<T>) -> &'static str {
    if task.is_finished() {
        "done"
    } else {
        "running"
    }
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    let task = tokio::spawn(long_running_task());
    println!("At once: {}", state(&task));
    sleep(Duration::from_millis(500)).await;
    println!("After half a second: {}", state(&task));
    sleep(Duration::from_millis(600)).await;
    println!("In the end: {}", state(&task));
    let result = task.await?;
    println!("Final result: {result}");

    println!("Two tasks by name, and one of them is cancelled:");
    // asyncio.create_task(long_running_task(), name="worker")
    let worker = tokio::spawn(long_running_task());
    let sleeper = tokio::spawn(sleep_long());
    let mut names = HashMap::from([(worker.id(), "worker"), (sleeper.id(), "sleeper")]);
    sleep(Duration::from_millis(500)).await;
    sleeper.abort();
    // worker.set_name("the only worker")
    names.insert(worker.id(), "the only worker");
    for task in [sleeper, worker] {
        let name = names.remove(&task.id()).unwrap_or("unnamed");
        match task.await {
            Ok(result) => println!("{name}: {result}"),
            Err(error) if error.is_cancelled() => println!("{name}: cancelled"),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

//@ order: At once
