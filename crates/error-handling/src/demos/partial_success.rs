//! Pages, some of which fail, are slow or panic at the first attempt.

use std::time::Duration;

use futures::future::join_all;
use thiserror::Error;
use tokio::task::JoinError;
use tokio::time::{error::Elapsed, sleep, timeout};

use crate::partial_success::{Outcomes, try_each};

/// Why a page could not be fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    #[error("no answer in time")]
    TimedOut,
    #[error("status {0}")]
    Status(u16),
    /// The task panicked.
    #[error("a bug")]
    Panicked(#[from] JoinError),
}

impl From<Elapsed> for FetchError {
    fn from(_: Elapsed) -> Self {
        FetchError::TimedOut
    }
}

async fn fetch(page: u32, attempt: u32) -> Result<String, FetchError> {
    let slow = page == 3 || page == 4 && attempt == 1;
    sleep(Duration::from_millis(if slow { 500 } else { 100 })).await;
    match page {
        2 => Err(FetchError::Status(404)),
        5 if attempt == 1 => Err(FetchError::Status(503)),
        6 => panic!("page {page} has no title"),
        _ => Ok(format!("text {page}")),
    }
}

/// Fetches each page with its own timeout.
async fn fetch_in_time(page: u32, attempt: u32) -> Result<String, FetchError> {
    timeout(Duration::from_millis(200), fetch(page, attempt)).await?
}

fn report(outcomes: &Outcomes<u32, String, FetchError>) {
    for (page, text) in &outcomes.succeeded {
        println!("{page}: {text}");
    }
    for (page, error) in &outcomes.failed {
        println!("{page} failed: {error}");
    }
}

pub async fn run() {
    println!("Errors silently dropped from five results:");
    let results = join_all((1..=5).map(|page| fetch_in_time(page, 1))).await;
    let texts: Vec<String> = results.into_iter().flatten().collect();
    println!("{} of 5: {}", texts.len(), texts.join(", "));

    println!("Successes and failures, in the order of the pages:");
    let outcomes = try_each(1..=6, |page| fetch_in_time(page, 1)).await;
    report(&outcomes);

    println!("The failed pages are retried:");
    let failed = outcomes.failed.into_iter().map(|(page, _)| page);
    let outcomes = try_each(failed, |page| fetch_in_time(page, 2)).await;
    report(&outcomes);

    println!("Three pages are needed:");
    for pages in [1..=5, 2..=5] {
        let outcomes = try_each(pages, |page| fetch_in_time(page, 2)).await;
        match outcomes.at_least(3) {
            Ok(outcomes) => println!("{} pages", outcomes.succeeded.len()),
            Err(error) => {
                println!("error: {error}");
                report(&error.outcomes);
            }
        }
    }
}
