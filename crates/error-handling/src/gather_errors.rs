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
//! asyncio: asyncio.gather, asyncio.gather(return_exceptions=True), asyncio.as_completed
//! differs: asyncio's gather leaves the others running, a dropped future stops
//! stderr: job 4 has no steps

use std::time::Duration;

use futures::future::join_all;
use futures::stream::{FuturesUnordered, TryStreamExt};
use thiserror::Error;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
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

/// Why a job has no result.
#[derive(Debug, Error)]
pub enum JobError {
    #[error("job {0} failed")]
    Failed(u32),
    /// The task panicked or was aborted.
    #[error("a bug")]
    Bug(#[from] JoinError),
}

/// Succeeds if its number is odd.
async fn job(number: u32, millis: u64) -> Result<String, JobError> {
    sleep(Duration::from_millis(millis)).await;
    assert!(number != 4, "job {number} has no steps");
    if number.is_multiple_of(2) {
        println!("job {number} fails");
        return Err(JobError::Failed(number));
    }
    println!("job {number} is done");
    Ok(format!("result {number}"))
}

fn print_results(results: Result<Vec<String>, JobError>) {
    match results {
        Ok(results) => println!("{}", results.join(", ")),
        Err(error) => println!("error: {error}"),
    }
}

pub async fn run() -> Result<(), JoinError> {
    let jobs = [(1, 300), (2, 100), (6, 200)];

    println!("The first error:");
    // results = await asyncio.gather(*(job(*each) for each in jobs))
    let futures = jobs.map(|(number, millis)| job(number, millis));
    print_results(try_gather(futures).await);
    sleep(Duration::from_millis(300)).await;

    println!("The first error, where each is a task:");
    let tasks = jobs.map(|(number, millis)| tokio::spawn(job(number, millis)));
    print_results(try_gather(tasks.map(async |task| task.await?)).await);
    sleep(Duration::from_millis(300)).await;

    println!("All results, errors among them:");
    let jobs = [(1, 300), (2, 100), (3, 200), (4, 400)];
    let futures = jobs.map(|(number, millis)| job(number, millis));
    // results = await asyncio.gather(*jobs, return_exceptions=True)
    let results = gather_all(futures).await;
    for (number, result) in (1..).zip(results) {
        match result {
            Ok(result) => println!("{number}: {result}"),
            Err(error) => println!("{number}: error: {error}"),
        }
    }

    println!("Each result as soon as it is there:");
    let jobs = [(1, 300), (2, 100), (3, 200)];
    let mut tasks = JoinSet::from_iter(jobs.map(|(number, millis)| job(number, millis)));
    while let Some(outcome) = tasks.join_next().await {
        match outcome? {
            Ok(result) => println!("{result}"),
            Err(error) => println!("error: {error}"),
        }
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
