//! Map an async function over a list: at most N calls run at once, results in order.
//!
//! `map_with_limit` needs no spawn: all calls run in the caller's task, may borrow its
//! variables, and are dropped with it. They share one thread. `map_in_tasks` spawns each
//! call. The calls use all threads, and several lists can share one semaphore, but each
//! call owns what it uses. The first error stops the rest in both.
//!
//! Trap: a computation of more than a millisecond blocks the other calls, and in a task a
//! thread of the runtime. Use `spawn_blocking`.
//!
//! Trap: look for errors also while you wait for a permit. If other lists hold all
//! permits, an error would go unnoticed.
//!
//! See also: `semaphore`, `buffered_in_order` (for endless sources), `cpu_bound`.
//!
//! asyncio: asyncio.Semaphore.acquire, asyncio.Semaphore.release, asyncio.TaskGroup

use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryFutureExt, TryStreamExt, stream};
use tokio::select;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// Puts results into the order of their indices.
fn in_order<R>(mut results: Vec<(usize, R)>) -> Vec<R> {
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Returns the results of all calls in the order of the items. At most `limit` calls run
/// at once, in the caller's task.
///
/// `f` is called for all items first. It only creates the futures: what it does outside
/// its `async` block is not limited. The first error or panic drops the other calls.
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
    // Nothing runs yet. They are collected, as a closure over references that is kept
    // across an await cannot be spawned: "`FnOnce` is not general enough".
    let calls: Vec<_> = (items.into_iter().enumerate())
        .map(|(index, item)| f(item).map_ok(move |result| (index, result)))
        .collect();
    let results = stream::iter(calls)
        .buffer_unordered(limit)
        .try_collect()
        .await?;
    Ok(in_order(results))
}

/// Returns the results of all calls in the order of the items. Each call runs in a task
/// of its own that holds a permit.
///
/// The first error aborts the other tasks, and waits until they have ended. A panic of a
/// call continues in the caller, and aborts the others without waiting. Dropping the
/// future aborts all tasks. It waits for ever if the semaphore never has a permit, for
/// example if the caller holds them.
///
/// # Panics
///
/// If the semaphore is closed, and outside of a Tokio runtime.
pub async fn map_in_tasks<T, R, E, Fut>(
    items: impl IntoIterator<Item = T>,
    permits: &Arc<Semaphore>,
    mut f: impl FnMut(T) -> Fut,
) -> Result<Vec<R>, E>
where
    R: Send + 'static,
    E: Send + 'static,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
{
    // So that an iterator that borrows is not kept across an await.
    let items: Vec<T> = items.into_iter().collect();
    let value = |ended: Result<_, JoinError>| match ended {
        Ok(result) => result,
        Err(error) => resume_unwind(error.into_panic()),
    };
    let mut tasks = JoinSet::new();
    let mut results = Vec::new();
    let outcome = async {
        for (index, item) in items.into_iter().enumerate() {
            // Before the spawn, so that there are no more tasks than permits. An error
            // ends the wait for one.
            let mut permit = pin!(Arc::clone(permits).acquire_owned());
            let permit = loop {
                select! {
                    biased;
                    Some(ended) = tasks.join_next() => results.push(value(ended)?),
                    permit = &mut permit => break permit,
                }
            };
            let permit = permit.expect("nobody closes the semaphore");
            let call = f(item).map_ok(move |result| (index, result));
            tasks.spawn(async move {
                let _permit = permit;
                call.await
            });
        }
        while let Some(ended) = tasks.join_next().await {
            results.push(value(ended)?);
        }
        Ok(())
    };
    let outcome = outcome.await;
    tasks.shutdown().await;
    outcome.map(|()| in_order(results))
}

/// A name, and how many milliseconds it takes.
type Page = (&'static str, u64);

async fn fetch(host: &str, (name, millis): Page) -> Result<String, String> {
    sleep(Duration::from_millis(millis)).await;
    if name == "missing" {
        return Err(format!("{host}/{name} not found"));
    }
    println!("fetched {name}");
    Ok(format!("{host}/{name}"))
}

/// The same with a host of its own, for a task.
async fn fetch_owned(host: Arc<str>, page: Page) -> Result<String, String> {
    fetch(&host, page).await
}

fn report(outcome: Result<Vec<String>, String>) {
    match outcome {
        Ok(urls) => println!("{}", urls.join(", ")),
        Err(error) => println!("failed: {error}"),
    }
}

pub async fn run() {
    let host: Arc<str> = Arc::from("api.com");
    let pages = [("a", 400), ("b", 100), ("c", 200), ("d", 200)];
    let faulty = [("a", 100), ("b", 400), ("missing", 100), ("d", 100)];

    println!("Two at once, in one task:");
    report(map_with_limit(pages, 2, |page| fetch(&host, page)).await);

    println!("With one that fails:");
    report(map_with_limit(faulty, 2, |page| fetch(&host, page)).await);
    sleep(Duration::from_millis(500)).await;

    println!("Three at once, in tasks, for two lists:");
    let permits = Arc::new(Semaphore::new(3));
    let more = [("e", 250), ("f", 200)];
    let (first, second) = tokio::join!(
        map_in_tasks(pages, &permits, |page| fetch_owned(Arc::clone(&host), page)),
        map_in_tasks(more, &permits, |page| fetch_owned(Arc::clone(&host), page)),
    );
    report(first);
    report(second);

    println!("With one that fails:");
    let permits = Arc::new(Semaphore::new(2));
    let fetch = |page| fetch_owned(Arc::clone(&host), page);
    report(map_in_tasks(faulty, &permits, fetch).await);
    sleep(Duration::from_millis(500)).await;
    println!("0.5 s later");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
