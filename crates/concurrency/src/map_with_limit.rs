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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::panic::AssertUnwindSafe;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::time::Duration;

    use futures::FutureExt;
    use futures::future::join_all;
    use tokio::sync::Semaphore;
    use tokio::task::{id, yield_now};
    use tokio::time::{Instant, sleep, timeout};

    use super::{map_in_tasks, map_with_limit};

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn in_one_task_or_in_as_many_as_there_are_items() {
        let here = tokio::spawn(async {
            let ids = map_with_limit(0..9, 3, async |_| Ok::<_, ()>(id())).await;
            ids.map(|ids| ids.into_iter().all(|other| other == id()))
        });
        assert_eq!(here.await.expect("it does not panic"), Ok(true));
        let permits = Arc::new(Semaphore::new(3));
        let ids = map_in_tasks(0..9, &permits, async |_| Ok::<_, ()>(id())).await;
        assert_eq!(
            ids.map(|ids| ids.into_iter().collect::<HashSet<_>>().len()),
            Ok(9)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn never_more_than_the_limit_and_in_order() {
        for limit in [1, 3, 100] {
            let (now, most) =
                (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let call = |number: u64| {
                let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                async move {
                    most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                    sleep(Duration::from_millis(number * 7 % 10 + 1)).await;
                    now.fetch_sub(1, SeqCst);
                    Ok::<_, ()>(number)
                }
            };
            let expected: Vec<_> = (0..50).collect();
            assert_eq!(
                map_with_limit(0..50, limit, call).await.as_ref(),
                Ok(&expected)
            );
            assert_eq!(most.swap(0, SeqCst), limit.min(50));
            let permits = Arc::new(Semaphore::new(limit));
            assert_eq!(map_in_tasks(0..50, &permits, call).await, Ok(expected));
            assert_eq!(most.load(SeqCst), limit.min(50));
            assert_eq!(permits.available_permits(), limit);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_of_0() {
        let call = async |number: u8| Ok::<_, ()>(number);
        let none = AssertUnwindSafe(map_with_limit([1], 0, call)).catch_unwind();
        assert!(none.await.is_err());
        // A semaphore may be without a permit only for now.
        let permits = Arc::new(Semaphore::new(0));
        let waits = timeout(HOUR, map_in_tasks([1], &permits, call));
        assert!(waits.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_noticed_while_other_lists_have_the_permits() {
        let permits = Arc::new(Semaphore::new(2));
        // It fails 0.3 s after the start, when another list waits before it.
        let faulty = [(100, true), (200, false), (100, true)];
        let lists = [
            (0, vec![(3000, true)]),
            (10, faulty.into()),
            (50, vec![(3000, true)]),
        ];
        let ends = join_all(lists.map(|(start, list)| {
            let permits = Arc::clone(&permits);
            async move {
                let start_of_all = Instant::now();
                sleep(Duration::from_millis(start)).await;
                let call = async |(millis, good): (u64, bool)| {
                    sleep(Duration::from_millis(millis)).await;
                    if good { Ok(()) } else { Err(()) }
                };
                let outcome = map_in_tasks(list, &permits, call).await;
                (outcome.is_ok(), start_of_all.elapsed().as_millis())
            }
        }));
        let ends = timeout(HOUR, ends).await.expect("nobody hangs");
        assert_eq!(ends, [(true, 3000), (false, 310), (true, 3310)]);
        assert_eq!(permits.available_permits(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_goes_on_in_the_caller_and_ends_the_other_calls() {
        let permits = Arc::new(Semaphore::new(3));
        let running = Arc::new(());
        let call = |number: u8| {
            let running = Arc::clone(&running);
            async move {
                let _running = running;
                yield_now().await;
                assert!(number != 2, "scheduled");
                sleep(HOUR).await;
                Ok::<_, ()>(number)
            }
        };
        let calls = AssertUnwindSafe(map_with_limit(0..9, 3, call)).catch_unwind();
        assert!(calls.await.is_err());
        assert_eq!(Arc::strong_count(&running), 1);
        let tasks = AssertUnwindSafe(map_in_tasks(0..9, &permits, call)).catch_unwind();
        assert!(tasks.await.is_err());
        // They are aborted, and not waited for.
        sleep(Duration::from_millis(1)).await;
        let left = (Arc::strong_count(&running), permits.available_permits());
        assert_eq!(left, (1, 3));
    }

    #[tokio::test]
    async fn in_a_task_with_an_iterator_that_borrows() {
        let task = tokio::spawn(async {
            let (names, permits) = (vec!["a", "bc"], Arc::new(Semaphore::new(1)));
            let lengths = || names.iter().map(|name| name.len());
            let double = |length| async move { Ok::<_, ()>(2 * length) };
            let first = map_with_limit(lengths(), 1, double).await;
            (first, map_in_tasks(lengths(), &permits, double).await)
        });
        let lengths = Ok(vec![2, 4]);
        assert_eq!(task.await.expect("it ends"), (lengths.clone(), lengths));
    }

    #[tokio::test]
    async fn after_an_error_nothing_runs_any_more() {
        let permits = Arc::new(Semaphore::new(3));
        let running = Arc::new(());
        for _ in 0..100 {
            let call = |number| {
                let running = Arc::clone(&running);
                async move {
                    yield_now().await;
                    drop(running);
                    if number == 5 { Err(number) } else { Ok(()) }
                }
            };
            assert_eq!(map_in_tasks(0..9, &permits, call).await, Err(5));
            assert_eq!(
                (Arc::strong_count(&running), permits.available_permits()),
                (1, 3)
            );
        }
    }
}
