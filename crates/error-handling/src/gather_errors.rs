//! Errors in gather: stop at the first, or collect them all (`return_exceptions=True`).
//!
//! Both languages return the first error at once. The trap is what becomes of the other
//! futures: `gather` in asyncio leaves them running, and `try_join_all` on bare futures
//! drops each at its await, so half of its work may be done. Spawned as tasks they run on
//! in either language, and then nobody hears of a second error. `gather_all` below waits
//! for every task and gives all results in the order of the list, as
//! `return_exceptions=True` does; a panic, which is what a bug ends in, is one of them.
//! Of a job whose error is a text it says "the trait `From<JoinError>` is not implemented
//! for `String`": make it `Box<dyn Error + Send + Sync>`, to which `?` converts a text.
//! To stop the others and wait for their end: `first_error_wins`.
//!
//! asyncio: asyncio.gather, asyncio.gather(return_exceptions=True), asyncio.as_completed
//! differs: asyncio's gather leaves the others running, `try_join_all` drops them
//! stderr: job 4 has no steps

use std::time::Duration;

use futures::future::{join_all, try_join_all};
use thiserror::Error;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// Runs all futures at the same time, each as a task of its own. All results, in the
/// order of the futures.
///
/// A panic becomes an error, by `From<JoinError>`; `Box<dyn Error + Send + Sync>` has
/// that already. When this is dropped before its end, the tasks are aborted.
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

/// Why there is no result.
#[derive(Debug, Error)]
pub enum JobError {
    /// What can happen at any time.
    #[error("job {0} failed")]
    Failed(u32),
    /// The task panicked, or it was aborted.
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
    print_results(try_join_all(futures).await);
    sleep(Duration::from_millis(300)).await;

    println!("The first error, where each is a task:");
    let tasks = jobs.map(|(number, millis)| tokio::spawn(job(number, millis)));
    print_results(try_join_all(tasks.map(async |task| task.await?)).await);
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

    println!("Each result as it comes:");
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
