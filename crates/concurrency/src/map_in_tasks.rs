//! Map an async function over a list in tasks: several lists share one limit.
//!
//! Each call runs as a task, so the calls use all threads, and each call must own its
//! data. Calls for several lists can share one semaphore, which is their common limit.
//! The first error stops the other calls for the same list. Results come in the order of
//! the list.
//!
//! Trap: If you write the loop that spawns the calls yourself, and it waits only for the
//! next permit, it may notice an error too late. Calls for other lists may hold all
//! permits for long. During this wait, your loop does not look at its running calls, one
//! of which may have failed. Wait in a `select!` for a permit and for the end of a
//! running call at the same time, as `map_in_tasks` below does.
//!
//! Trap: If a call computes for more than a millisecond, it blocks a thread of the
//! runtime. One blocked thread may stop all timers and sockets. Run the computation on
//! another thread, with `spawn_blocking`.
//!
//! See also: `map_with_limit` (without tasks), `semaphore`, `cpu_bound`.
//!
//! asyncio: asyncio.Semaphore.acquire, asyncio.Semaphore.release, asyncio.TaskGroup

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::TryFutureExt;
use tokio::select;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// Returns the results of all calls in the order of the items. Each call runs in a task
/// that holds a permit.
///
/// The first error aborts the other tasks, and is returned when they have ended. A panic
/// of a call continues in the caller. Dropping the future aborts all tasks. A semaphore
/// that never has a permit makes the caller wait forever.
///
/// # Panics
///
/// If the semaphore is closed, and outside a Tokio runtime.
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
            // ends the wait for a permit.
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
    outcome?;
    results.sort_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

async fn fetch(name: &str, millis: u64) -> Result<String, String> {
    sleep(Duration::from_millis(millis)).await;
    if name == "missing" {
        return Err(format!("{name} not found"));
    }
    println!("fetched {name}");
    Ok(name.to_uppercase())
}

#[tokio::main]
async fn main() -> Result<(), String> {
    println!("Three at once, for two lists:");
    let permits = Arc::new(Semaphore::new(3));
    let first = [("a", 400), ("b", 100), ("c", 200), ("d", 200)];
    let second = [("e", 250), ("f", 200)];
    let (first, second) = tokio::try_join!(
        map_in_tasks(first, &permits, |(name, millis)| fetch(name, millis)),
        map_in_tasks(second, &permits, |(name, millis)| fetch(name, millis)),
    )?;
    println!("{}; {}", first.join(", "), second.join(", "));

    println!("With one that fails:");
    let faulty = [("a", 100), ("b", 400), ("missing", 250), ("d", 100)];
    let fetched = map_in_tasks(faulty, &permits, |(name, millis)| fetch(name, millis));
    if let Err(error) = fetched.await {
        println!("failed: {error}");
    }
    sleep(Duration::from_millis(500)).await;
    println!("0.5 s later");
    Ok(())
}
