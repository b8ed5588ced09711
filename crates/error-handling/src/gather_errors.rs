//! Errors in gather: return the first, or collect them all (`return_exceptions=True`).
//!
//! After an error, `gather` in asyncio leaves the other tasks running. `try_gather` below
//! drops bare futures at their await, so half of their work may be done. Spawned as tasks
//! they run on, and nobody hears of a second error, in either language. `gather_all`
//! waits for every task, and returns all results in the order of the list.
//!
//! Trap: `try_join_all` of more than 30 futures, or of an iterator of unknown length,
//! awaits them in their order. An error behind a future that hangs is never returned.
//!
//! Trap: "the trait `From<JoinError>` is not implemented for `String`". A task can panic,
//! so its error type needs room for that: `Box<dyn Error + Send + Sync>` has it.
//!
//! See also: `first_error_wins`, `gather`, `task_group_errors`, `partial_success`.
//!
//! asyncio: asyncio.gather, asyncio.gather(return_exceptions=True)
//! differs: asyncio's gather leaves the others running, a dropped future stops
//! stderr: job 4 has no steps
//! try: 127.0.0.1:1 -> 127.0.0.1:1: Connection refused

use futures::future::join_all;
use futures::stream::{FuturesUnordered, TryStreamExt};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

/// Awaits all futures at the same time, and returns their values in their order.
///
/// # Errors
///
/// The first error, as soon as there is one. The other futures are dropped.
pub async fn try_gather<F, T, E>(
    futures: impl IntoIterator<Item = F>,
) -> Result<Vec<T>, E>
where
    F: Future<Output = Result<T, E>>,
{
    let numbered = futures.into_iter().enumerate();
    let running = numbered.map(async |(number, future)| Ok((number, future.await?)));
    let running = FuturesUnordered::from_iter(running);
    let mut values: Vec<_> = running.try_collect().await?;
    values.sort_unstable_by_key(|(number, _)| *number);
    Ok(values.into_iter().map(|(_, value)| value).collect())
}

/// Runs each future as a task, and returns all results in the order of the futures.
///
/// A panic becomes an error, by `From<JoinError>`. Dropping this future aborts the tasks.
pub async fn gather_all<F, T, E>(
    futures: impl IntoIterator<Item = F>,
) -> Vec<Result<T, E>>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<JoinError> + Send + 'static,
{
    let spawn = |future| AbortOnDropHandle::new(tokio::spawn(future));
    let outcomes = join_all(futures.into_iter().map(spawn)).await;
    let flatten =
        |outcome: Result<_, JoinError>| outcome.unwrap_or_else(|e| Err(e.into()));
    outcomes.into_iter().map(flatten).collect()
}

/// Connects to each host, and prints all results: `cargo run -- localhost:5432`.
#[tokio::main]
pub async fn main() {
    let hosts: Vec<String> = std::env::args().skip(1).collect();
    let connects = hosts
        .clone()
        .into_iter()
        .map(tokio::net::TcpStream::connect);
    for (host, result) in hosts.iter().zip(gather_all(connects).await) {
        match result {
            Ok(_) => println!("{host}: connected"),
            Err(error) => println!("{host}: {error}"),
        }
    }
}
