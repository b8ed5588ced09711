//! Spawn tasks: give each the data that it needs, and await a whole list of them.
//!
//! A task must own its data (`'static`): it may outlive the function that spawns it, so
//! it may not borrow from that function. Move a value in, clone it, or share it in an
//! `Arc`, a counted reference. To wait for a list of tasks, await their handles in a
//! loop. The example `create_task` is the plain form.
//!
//! Trap: If a task uses a reference to a local variable, the compiler reports "`name`
//! does not live long enough". Give the task a value that it owns, as above. If a block
//! lacks `move`, the message is "async block may outlive the current function". Write
//! `async move`. In a generic function, "the parameter type `T` may not live long enough"
//! is the same: write `T: Send + 'static`.
//!
//! Trap: If you spawn a task, and prepare on the next line what the task needs, the task
//! may start before that line, and finds nothing prepared. Prepare first, then spawn. Do
//! not rely on an order either: task B may start before task A. By default, asyncio
//! starts a new task at the next await.
//!
//! See also: `create_task`, `spawn_order`, `drop_or_detach`, `borrow_or_spawn`.
//!
//! asyncio: asyncio.create_task, asyncio.Task, asyncio.gather, asyncio.ensure_future

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

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    println!("Two tasks:");
    let name = String::from("A");
    let task1 = tokio::spawn(worker(name.clone(), Duration::from_secs(2)));
    let task2 = tokio::spawn(worker("B".into(), Duration::from_secs(1)));
    println!("Waiting for {name}, then for B");
    // The `?` is for a task that panicked or was aborted.
    println!("{}, {}", task1.await?, task2.await?);

    println!("A list of tasks that share a table:");
    let delays = Arc::new(vec![300, 100, 200]);
    let mut tasks = Vec::new();
    for index in 0..delays.len() {
        let delays = Arc::clone(&delays);
        tasks.push(tokio::spawn(async move {
            sleep(Duration::from_millis(delays[index])).await;
            format!("Task {index} waited for {} ms", delays[index])
        }));
    }
    // for result in await asyncio.gather(*tasks):
    for task in tasks {
        println!("{}", task.await?);
    }
    Ok(())
}

//@ order: starts
