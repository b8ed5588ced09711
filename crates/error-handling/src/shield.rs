//! Shield work from cancellation: the caller is cancelled, and the work keeps running.
//!
//! Spawn the work and await its handle: that is `asyncio.shield`. A cancelled caller only
//! stops waiting. A `TaskTracker` knows all such tasks, so that the program can wait for
//! them before it ends. Do not abort the work when the caller is cancelled: then the
//! shield protects nothing.
//!
//! See also: `shield_and_clean_up` (adds a time limit for the end), `cleanup_on_cancel`,
//! `cancellation`.
//!
//! asyncio: asyncio.shield, asyncio.Task.cancel, asyncio.CancelledError

use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

/// Reports its own errors, because its caller may be gone.
async fn save() {
    println!("Saving");
    sleep(Duration::from_millis(300)).await;
    println!("Saved");
}

/// Saves, and waits for that. If this future is dropped, the save continues.
pub async fn handle_request(shielded: TaskTracker) -> Result<(), JoinError> {
    // await asyncio.shield(task)
    shielded.spawn(save()).await
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    let shielded = TaskTracker::new();
    let caller = tokio::spawn(handle_request(shielded.clone()));
    sleep(Duration::from_millis(100)).await;
    caller.abort();
    match caller.await {
        Err(error) if error.is_cancelled() => println!("Operation cancelled"),
        ended => ended??,
    }
    shielded.close();
    shielded.wait().await;
    println!("Nothing was lost");
    Ok(())
}
