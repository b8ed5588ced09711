//! Start two tasks with `tokio::spawn`, which is `asyncio.create_task`, and await both.
//!
//! A task runs from the moment it is spawned, so two calculations of a second take one
//! second together. Await its handle for the result. The `?` passes on the error of a
//! task that panicked: a panic is for bugs, like a failed `assert`. When `main` ends, the
//! runtime stops the tasks that still run, as `asyncio.run` does.
//!
//! See also: `spawn_tasks`, `task_results`, `background_tasks`.
//!
//! asyncio: asyncio.create_task, asyncio.Task, await

use tokio::time::{Duration, sleep};

/// Returns the sum after a second.
pub async fn calculate(x: i32, y: i32) -> i32 {
    sleep(Duration::from_secs(1)).await;
    x + y
}

#[tokio::main]
async fn main() -> Result<(), tokio::task::JoinError> {
    let task1 = tokio::spawn(calculate(5, 3));
    let task2 = tokio::spawn(calculate(10, 20));
    println!("Results: {}, {}", task1.await?, task2.await?);
    Ok(())
}
