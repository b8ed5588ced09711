//! Spawn tasks: run async functions in the background and wait for them.
//!
//! `tokio::spawn` is `asyncio.create_task`: from then on the runtime runs the future, and
//! you await its `JoinHandle` for the result. Tasks run on several threads, and no task
//! may borrow: it owns its data (`'static`). Move a value in, clone it, or share it in an
//! `Arc`, a counted reference.
//!
//! Trap: a reference to a local variable is refused, "`name` does not live long
//! enough". If a block lacks `move`, the message is "async block may outlive the
//! current function".
//!
//! Trap: a task may start before the line after its `spawn`, and B before A. By default,
//! asyncio starts a new task at the next await. Prepare what the task needs first.
//!
//! See also: `spawn_order`, `task_results`, `drop_or_detach`, `borrow_or_spawn`.
//!
//! asyncio: asyncio.create_task, asyncio.Task, asyncio.gather, asyncio.ensure_future
//! order: starts

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::sleep;

/// Owns its name, so that it can run as a task.
async fn worker(name: String, delay: Duration) -> String {
    println!("Worker {name} starts");
    sleep(delay).await;
    println!("Worker {name} has finished");
    format!("Result from {name}")
}

pub async fn run() -> Result<(), JoinError> {
    println!("Two tasks:");
    let name = String::from("A");
    let task1 = tokio::spawn(worker(name.clone(), Duration::from_secs(2)));
    let task2 = tokio::spawn(worker("B".into(), Duration::from_secs(1)));
    sleep(Duration::from_millis(500)).await;
    println!("Waiting for {name}, then for B");

    // The `?` is for a task that panicked or was aborted.
    let result1 = task1.await?;
    let result2 = task2.await?;
    println!("{result1}, {result2}");

    println!("A list of tasks that share a table:");
    let delays = Arc::new(vec![300, 100, 200]);
    let mut tasks = Vec::new();
    for index in 0..delays.len() {
        let delays = Arc::clone(&delays);
        tasks.push(tokio::spawn(async move {
            sleep(Duration::from_millis(delays[index])).await;
            println!("Task {index} waited for {} ms", delays[index]);
            index
        }));
    }
    // for index in await asyncio.gather(*tasks):
    for task in tasks {
        let index = task.await?;
        println!("Got {index}");
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
