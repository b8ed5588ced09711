//! Run a long list in batches: so many at once, then the next ones, results in order.
//!
//! `chunks` cuts the list up, and `join_all` runs one batch: ten thousand items never
//! mean more than a batch of futures. The results come in the order of the list. With
//! `try_join_all` the first error ends it, and no further batch is begun; the rest of the
//! batch is dropped, as a `TaskGroup` cancels it. The trap: the slowest item holds up its
//! whole batch, as item 2 does here. To begin the next item as soon as any has ended:
//! `map_with_limit`.
//!
//! asyncio: asyncio.gather, asyncio.TaskGroup, except*

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use tokio::time::sleep;

/// How many run at the same time.
const BATCH_SIZE: usize = 5;

async fn io_bound_task(item: u32) -> u32 {
    // One of them is slow.
    sleep(Duration::from_millis(if item == 2 { 400 } else { 100 })).await;
    item * item
}

/// Fails for what is larger than 20.
async fn checked_task(item: u32) -> Result<u32, String> {
    let result = io_bound_task(item).await;
    if item > 20 {
        return Err(format!("{item} is too large"));
    }
    Ok(result)
}

/// The results for all items, a batch at a time.
pub async fn process_batches(items: &[u32]) -> Vec<u32> {
    let mut results = Vec::with_capacity(items.len());
    for batch in items.chunks(BATCH_SIZE) {
        println!("batch {batch:?}");
        results.extend(join_all(batch.iter().copied().map(io_bound_task)).await);
    }
    results
}

/// The same, up to the first error.
pub async fn try_process_batches(items: &[u32]) -> Result<Vec<u32>, String> {
    let mut results = Vec::with_capacity(items.len());
    for batch in items.chunks(BATCH_SIZE) {
        println!("batch {batch:?}");
        results.extend(try_join_all(batch.iter().copied().map(checked_task)).await?);
    }
    Ok(results)
}

pub async fn run() {
    println!("Twelve items, one of them slow:");
    let items: Vec<u32> = (0..12).collect();
    println!("{:?}", process_batches(&items).await);

    println!("An item that fails:");
    let items: Vec<u32> = (14..26).collect();
    match try_process_batches(&items).await {
        Ok(results) => println!("{results:?}"),
        Err(error) => println!("Error: {error}"),
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
