//! What can be awaited: a coroutine, a task, and a future that other code sets.
//!
//! You can await whatever implements the trait `Future`. An async function's future does,
//! and so do the handle of a task and the receiver of a `oneshot` (a channel for one
//! value, like asyncio's `Future`). A plain function's result cannot be awaited: "`()` is
//! not a future". Outside an async function, the compiler reports "`await` is only
//! allowed inside `async` functions and blocks".
//!
//! See also: `future_by_hand`, `shared_future`, `oneshot_and_set_once`, `lazy_futures`.
//!
//! asyncio: await, asyncio.Future, asyncio.Future.set_result, asyncio.create_task

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

async fn my_coroutine() -> &'static str {
    sleep(Duration::from_secs(1)).await;
    "Result"
}

/// Returns the receiver of a value that a task sends after a second.
pub fn value_later() -> oneshot::Receiver<&'static str> {
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        // An error means that the receiver was dropped.
        let _ = sender.send("value");
    });
    receiver
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    println!("A coroutine: {}", my_coroutine().await);

    let task = tokio::spawn(my_coroutine());
    println!("A task: {}", task.await?);

    println!("A future: {}", value_later().await?);
    Ok(())
}
