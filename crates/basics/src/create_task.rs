//! Start two tasks with `tokio::spawn`, which is `asyncio.create_task`, and await both.
//!
//! A spawned task runs by itself, and `tokio::spawn` returns a handle. Here each of two
//! tasks calculates for one second. Both run at the same time, so the program takes one
//! second. Await a handle to get the result of its task. If the task panicked, you get an
//! error instead, and the `?` passes it on. (A panic reports a bug, like a failed
//! `assert`.) When `main` ends, Tokio stops the running tasks, as `asyncio.run` does.
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
