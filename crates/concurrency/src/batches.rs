//! Run a long list in batches: N at a time, then the next N, results in order.
//!
//! The method `chunks` cuts up the list, and `futures::future::join_all` runs one batch.
//! However long the list is, only one batch of futures exists at a time. Results come in
//! the order of the list.
//!
//! If an item can fail, run each batch in a `FuturesUnordered`, a set of futures (also of
//! the crate `futures`). It returns the first error immediately. Then the unfinished
//! items of the batch are dropped, as a `TaskGroup` would cancel them, and no other batch
//! starts.
//!
//! Trap: If one item is slow, it holds up its whole batch. To start the next item as soon
//! as any item has ended, use `map_with_limit`.
//!
//! Trap: If you run a batch of more than 30 items with `try_join_all`, which looks
//! shorter, it returns an error late. For so many items, `try_join_all` looks at the
//! results in the order of the list, so all items before the failed one must have ended
//! first. Use `FuturesUnordered`, as `try_process_batches` below does.
//!
//! See also: `map_with_limit`, `gather`.
//!
//! asyncio: asyncio.gather, asyncio.TaskGroup, except*

use std::time::Duration;

use futures::future::{TryFutureExt, join_all};
use futures::stream::{FuturesUnordered, TryStreamExt};
use tokio::time::sleep;

async fn io_bound_task(item: u32) -> u32 {
    // One of them is slow.
    sleep(Duration::from_millis(if item == 2 { 400 } else { 100 })).await;
    item * item
}

/// Fails if the item is larger than 20.
async fn checked_task(item: u32) -> Result<u32, String> {
    let result = io_bound_task(item).await;
    if item > 20 {
        return Err(format!("{item} is too large"));
    }
    Ok(result)
}

/// Returns the results of all items. Panics if `size` is 0.
pub async fn process_batches(items: &[u32], size: usize) -> Vec<u32> {
    let mut results = Vec::with_capacity(items.len());
    for batch in items.chunks(size) {
        println!("batch {batch:?}");
        results.extend(join_all(batch.iter().copied().map(io_bound_task)).await);
    }
    results
}

/// Returns the results of all items, or the first error. Panics if `size` is 0.
pub async fn try_process_batches(items: &[u32], size: usize) -> Result<Vec<u32>, String> {
    let mut results = Vec::with_capacity(items.len());
    for batch in items.chunks(size) {
        println!("batch {batch:?}");
        let calls = (batch.iter().copied().enumerate())
            .map(|(index, item)| checked_task(item).map_ok(move |done| (index, done)));
        let calls = FuturesUnordered::from_iter(calls);
        let mut done: Vec<_> = calls.try_collect().await?;
        done.sort_unstable_by_key(|(index, _)| *index);
        results.extend(done.into_iter().map(|(_, result)| result));
    }
    Ok(results)
}

#[tokio::main]
async fn main() {
    println!("Twelve items, one of them slow:");
    let items: Vec<u32> = (0..12).collect();
    println!("{:?}", process_batches(&items, 5).await);

    println!("An item that fails:");
    let items: Vec<u32> = (14..26).collect();
    match try_process_batches(&items, 5).await {
        Ok(results) => println!("{results:?}"),
        Err(error) => println!("Error: {error}"),
    }
}
