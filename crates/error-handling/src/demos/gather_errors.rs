//! Jobs, of which those with an even number fail.

use std::time::Duration;

use thiserror::Error;
use tokio::task::JoinError;
use tokio::time::sleep;

use crate::gather_errors::{gather_all, try_gather};

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

pub async fn run() {
    let jobs = [(1, 300), (2, 100), (6, 200)];

    println!("The first error:");
    // results = await asyncio.gather(*(job(*each) for each in jobs))
    let futures = jobs.map(|(number, millis)| job(number, millis));
    print_results(try_gather(futures).await);
    sleep(Duration::from_millis(300)).await;

    println!("The first error; the other tasks run on:");
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
}
