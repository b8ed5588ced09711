//~ clippy::async_yields_async an async construct yields a type which is itself awaitable
//! The task ends with a future that nobody awaits: `save()` lacks an `.await`.
//!
//! example: lints

#![deny(clippy::async_yields_async)]

use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::sleep;

async fn save() {
    sleep(Duration::from_millis(100)).await;
    println!("saved");
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    let task = tokio::spawn(async { save() });
    let _saved = task.await?;
    Ok(())
}
