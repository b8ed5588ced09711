//! Limit concurrency: ten operations share a semaphore, and three run at a time.
//!
//! Each operation first acquires a permit of a shared `tokio::sync::Semaphore`. The
//! variable `_permit` holds the permit and releases it when the operation ends, even
//! after an error or a cancellation. `acquire` fails only if somebody has closed the
//! semaphore.
//!
//! All ten operations are in memory from the start, as in Python. For an endless source,
//! acquire the permit before you create the operation: `semaphore` shows how.
//!
//! See also: `semaphore`, `map_with_limit`, `gather_results`.
//!
//! asyncio: asyncio.Semaphore, asyncio.gather

use std::time::Duration;

use tokio::sync::{AcquireError, Semaphore};
use tokio::time::sleep;

/// Waits for a permit, and keeps it until the end.
pub async fn operation(number: u32, semaphore: &Semaphore) -> Result<u32, AcquireError> {
    let _permit = semaphore.acquire().await?;
    println!("Operation {number} runs");
    sleep(Duration::from_millis(100)).await;
    Ok(number * number)
}

#[tokio::main]
async fn main() -> Result<(), AcquireError> {
    use futures::future::join_all;

    let semaphore = Semaphore::new(3);
    let operations = (1..=10).map(|number| operation(number, &semaphore));
    let results: Result<Vec<_>, _> = join_all(operations).await.into_iter().collect();
    println!("Results: {:?}", results?);
    Ok(())
}
