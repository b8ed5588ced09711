//! Partial success: keep what succeeded, and list what failed with its input and error.
//!
//! `gather(return_exceptions=True)` returns a list that mixes results and errors.
//! `try_each` separates them, each with its input and in the order of the inputs, so that
//! the failed ones can be retried. `at_least` decides whether the successes are enough.
//!
//! Bounds: unbounded: all calls run at once. See `map_with_limit`.
//!
//! Trap: `flatten()` over results drops each error silently.
//!
//! Trap: a timeout around all the calls loses the successes, too. Put one into each call.
//!
//! See also: `wait_all`, `retry`, `collect_all_errors`.
//!
//! asyncio: asyncio.gather(return_exceptions=True), asyncio.timeout
//! stderr: page 6 has no title

use std::time::Duration;

use futures::future::join_all;
use thiserror::Error;
use tokio::task::JoinError;
use tokio::time::{error::Elapsed, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

/// The outcomes, in the order of the inputs.
#[derive(Debug)]
pub struct Outcomes<I, T, E> {
    /// The inputs with their values.
    pub succeeded: Vec<(I, T)>,
    /// The inputs with their errors.
    pub failed: Vec<(I, E)>,
}

/// Calls `work` with each input, and runs each future as a task.
///
/// A panic becomes an error, by `From<JoinError>`. `Box<dyn Error + Send + Sync>` has
/// that, a `String` has not. Dropping the future aborts the tasks.
pub async fn try_each<I, T, E, F>(
    inputs: impl IntoIterator<Item = I>,
    mut work: impl FnMut(I) -> F,
) -> Outcomes<I, T, E>
where
    I: Clone,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<JoinError> + Send + 'static,
{
    let start = |input: I| {
        let task = tokio::spawn(work(input.clone()));
        (input, AbortOnDropHandle::new(task))
    };
    let (inputs, tasks): (Vec<I>, Vec<_>) = inputs.into_iter().map(start).unzip();
    let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
    for (input, outcome) in inputs.into_iter().zip(join_all(tasks).await) {
        match outcome.unwrap_or_else(|panic| Err(panic.into())) {
            Ok(value) => succeeded.push((input, value)),
            Err(error) => failed.push((input, error)),
        }
    }
    Outcomes { succeeded, failed }
}

/// Fewer calls succeeded than were needed.
#[derive(Debug, Error)]
#[error("{} succeeded, {needed} are needed", .outcomes.succeeded.len())]
pub struct TooFew<I, T, E> {
    /// How many were needed.
    pub needed: usize,
    /// All outcomes.
    pub outcomes: Outcomes<I, T, E>,
}

impl<I, T, E> Outcomes<I, T, E> {
    /// Fails if fewer calls succeeded.
    pub fn at_least(self, needed: usize) -> Result<Self, TooFew<I, T, E>> {
        if self.succeeded.len() < needed {
            let outcomes = self;
            return Err(TooFew { needed, outcomes });
        }
        Ok(self)
    }
}

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

/// Fetches each page with a timeout of its own.
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
    println!("The errors are left out of five results:");
    let results = join_all((1..=5).map(|page| fetch_in_time(page, 1))).await;
    let texts: Vec<String> = results.into_iter().flatten().collect();
    println!("{} of 5: {}", texts.len(), texts.join(", "));

    println!("Successes and failures, in the order of the pages:");
    let outcomes = try_each(1..=6, |page| fetch_in_time(page, 1)).await;
    report(&outcomes);

    println!("What failed is tried again:");
    let failed = outcomes.failed.into_iter().map(|(page, _)| page);
    let outcomes = try_each(failed, |page| fetch_in_time(page, 2)).await;
    report(&outcomes);

    println!("As many as are needed, and one less:");
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

#[tokio::main]
pub async fn main() {
    run().await;
}
