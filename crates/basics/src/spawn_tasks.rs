//! Spawn tasks: run async functions in the background and wait for them.
//!
//! `tokio::spawn` is `asyncio.create_task`: the runtime runs the future from now on, and
//! the handle that it returns (a `JoinHandle`) is awaited for the result. Unlike in
//! asyncio, tasks may run on several threads at once, and one may outlive the function
//! that spawned it. So it must own what it uses (`'static`: nothing in it is borrowed):
//! move it in, clone it, or share it in an `Arc`, a counted reference. A reference to a
//! local variable is refused: "`name` does not live long enough", or, where a block lacks
//! `move`, "async block may outlive the current function".
//!
//! asyncio: asyncio.create_task, asyncio.Task, asyncio.gather, await
//! asyncio: asyncio.ensure_future

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

/// Takes the name itself, not a reference to it, so that it can run as a task.
async fn worker(name: String, delay: Duration) -> String {
    println!("Worker {name} starting");
    sleep(delay).await;
    println!("Worker {name} finished");
    format!("Result from {name}")
}

pub async fn run() -> Result<(), tokio::task::JoinError> {
    let name = String::from("A");
    let task1 = tokio::spawn(worker(name.clone(), Duration::from_secs(2)));
    let task2 = tokio::spawn(worker("B".into(), Duration::from_secs(1)));
    println!("Tasks created");
    sleep(Duration::from_millis(500)).await;
    println!("Waiting for {name}, then for B");

    // The `?` is for a task that has no result because it failed: see `task_results`.
    let result1 = task1.await?;
    let result2 = task2.await?;
    println!("Results: {result1}, {result2}");

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
pub async fn main() -> Result<(), tokio::task::JoinError> {
    run().await
}
