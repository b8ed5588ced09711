//! Map an async function over a list: N calls at a time, results in order.
//!
//! The function `map_with_limit` below runs the calls with `buffer_unordered`, a method
//! of streams (of the crate `futures`), and sorts the results at the end. No task is
//! spawned: the calls run in the caller's task, may borrow its variables, and are dropped
//! with it. So all calls share one thread. The first error drops the calls that are still
//! running.
//!
//! Trap: If one call computes for more than a millisecond, the others wait: they share
//! its thread. Run the computation on another thread, with `spawn_blocking`.
//!
//! See also: `map_in_tasks` (on all threads), `buffered_in_order` (for endless sources),
//! `cpu_bound`.
//!
//! asyncio: asyncio.Semaphore, asyncio.TaskGroup

use std::future::Future;
use std::time::Duration;

use futures::{StreamExt, TryFutureExt, TryStreamExt, stream};
use tokio::time::sleep;

/// Returns the results of all calls in the order of the items. At most `limit` calls run
/// at the same time, in the caller's task.
///
/// `f` is called for all items first, so code outside its `async` block is not limited.
/// The first error or panic drops the other calls.
///
/// # Panics
///
/// If `limit` is 0.
pub async fn map_with_limit<T, R, E, Fut>(
    items: impl IntoIterator<Item = T>,
    limit: usize,
    mut f: impl FnMut(T) -> Fut,
) -> Result<Vec<R>, E>
where
    Fut: Future<Output = Result<R, E>>,
{
    assert!(limit > 0, "with a limit of 0 no call would ever run");
    // Nothing runs yet. The calls are collected first: a closure over references that is
    // kept across an await cannot be spawned, "`FnOnce` is not general enough".
    let calls: Vec<_> = (items.into_iter().enumerate())
        .map(|(index, item)| f(item).map_ok(move |result| (index, result)))
        .collect();
    let results = stream::iter(calls).buffer_unordered(limit).try_collect();
    let mut results: Vec<(usize, R)> = results.await?;
    results.sort_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

async fn fetch(host: &str, name: &str, millis: u64) -> Result<String, String> {
    sleep(Duration::from_millis(millis)).await;
    if name == "missing" {
        return Err(format!("{host}/{name} not found"));
    }
    println!("fetched {name}");
    Ok(format!("{host}/{name}"))
}

#[tokio::main]
async fn main() {
    let host = String::from("api.com");

    println!("Two at once:");
    let pages = [("a", 400), ("b", 100), ("c", 200), ("d", 200)];
    let fetched = map_with_limit(pages, 2, |(name, millis)| fetch(&host, name, millis));
    println!("{}", fetched.await.unwrap_or_default().join(", "));

    println!("With one that fails:");
    let pages = [("a", 100), ("b", 400), ("missing", 100), ("d", 100)];
    let fetched = map_with_limit(pages, 2, |(name, millis)| fetch(&host, name, millis));
    if let Err(error) = fetched.await {
        println!("failed: {error}");
    }
    sleep(Duration::from_millis(500)).await;
    println!("0.5 s later");
}
