//! Map an async function over a list, n at once: limit concurrency, results in order.
//!
//! `buffer_unordered` needs no spawn: all calls run in the caller's task, may borrow what
//! it has, and are dropped with it, but they share one thread. (As a stream it stands
//! still while its consumer is busy: `buffered_in_order`.) With a `JoinSet` and a
//! semaphore each call is a task, and other lists can share the limit, but calls own what
//! they use. So take tasks for what computes, and else the stream. The first error stops
//! the rest in both. The trap is to look for it only when there is a permit for the next
//! call: while other lists have them all, it goes unnoticed.
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

/// Calls `f` for all items at once, which only makes the futures; at most `limit` of them
/// run, in the caller's task. What `f` does outside its `async` block is not limited. For
/// a source without an end: `buffered_in_order`.
///
/// The first error drops the other calls, and so does a panic in one, which goes on in
/// the caller.
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

/// Calls `f` for each item in a task of its own, each with a permit.
///
/// The first error aborts the other tasks, and waits until they have ended. A panic in a
/// call goes on in the caller and aborts them too, but does not wait. Dropped, it aborts
/// them all. A semaphore that never has a permit makes it wait for ever: it has 0, or its
/// permits are held by who calls this.
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
