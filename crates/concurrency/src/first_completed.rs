//! Race tasks: take the first that completes, abort the others and wait for their end.
//!
//! `JoinSet::join_next` returns whatever ends first, an error as well as a value.
//! `JoinSet::shutdown` aborts the other tasks and waits until each has dropped what it
//! held: here all requests are closed before the result is printed. `select!` races two
//! futures of any types in one task, and drops the loser before it goes on.
//!
//! Trap: in both languages, cancelling a task is only a request. A function that returns
//! right after the request leaves the clean-up of the losers undone. So does dropping the
//! `JoinSet`.
//!
//! See also: `select_all_of` (keeps the rest running), `hedged_request`, `as_completed`.
//!
//! asyncio: asyncio.wait, asyncio.FIRST_COMPLETED, asyncio.Task.cancel, finally

use std::error::Error;
use std::time::Duration;

use tokio::select;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// Any error that can move to another thread.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Runs all futures as tasks and returns the result of the first that completes, or
/// `None` if there are no futures. The other tasks are aborted, and have ended when this
/// returns.
pub async fn first_completed<F>(
    futures: impl IntoIterator<Item = F>,
) -> Option<Result<F::Output, JoinError>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut tasks = JoinSet::from_iter(futures);
    let first = tasks.join_next().await;
    tasks.shutdown().await;
    first
}

/// Runs all futures as tasks and returns the value of the first that succeeds. The other
/// tasks are aborted, and have ended when this returns.
///
/// # Errors
///
/// All errors in the order in which they came, if no future succeeds; a panic is one. `E`
/// is most simply `Box<dyn Error + Send + Sync>`; an enum needs `impl From<JoinError>`.
pub async fn first_success<F, T, E>(
    futures: impl IntoIterator<Item = F>,
) -> Result<T, Vec<E>>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<JoinError> + Send + 'static,
{
    let mut tasks = JoinSet::from_iter(futures);
    let mut errors = Vec::new();
    while let Some(outcome) = tasks.join_next().await {
        match outcome.unwrap_or_else(|panic| Err(panic.into())) {
            Ok(value) => {
                tasks.shutdown().await;
                return Ok(value);
            }
            Err(error) => errors.push(error),
        }
    }
    Err(errors)
}

/// A request that is open. However its function ends, it is dropped and closed.
struct Request(&'static str);

impl Drop for Request {
    fn drop(&mut self) {
        println!("{} closed", self.0);
    }
}

async fn fetch_data(url: &'static str, millis: u64) -> Result<String, Failure> {
    let _request = Request(url);
    sleep(Duration::from_millis(millis)).await;
    if url.starts_with("broken") {
        return Err(format!("{url} does not answer").into());
    }
    Ok(format!("Data from {url}"))
}

fn print_result(result: Result<String, Failure>) {
    match result {
        Ok(data) => println!("{data}"),
        Err(error) => println!("Error: {error}"),
    }
}

pub async fn run() -> Result<(), Failure> {
    println!("The first that completes:");
    let requests = [("slow.com", 300), ("fast.com", 100)];
    let fetches = requests.map(|(url, millis)| fetch_data(url, millis));
    if let Some(first) = first_completed(fetches).await {
        print_result(first?);
    }

    println!("An error completes, too:");
    let requests = [("slow.com", 300), ("broken.com", 100)];
    let fetches = requests.map(|(url, millis)| fetch_data(url, millis));
    if let Some(first) = first_completed(fetches).await {
        print_result(first?);
    }

    println!("The first that succeeds:");
    let requests = [("slow.com", 300), ("broken.com", 100), ("fast.com", 200)];
    let fetches = requests.map(|(url, millis)| fetch_data(url, millis));
    match first_success(fetches).await {
        Ok(data) => println!("{data}"),
        Err(errors) => errors
            .into_iter()
            .for_each(|error| print_result(Err(error))),
    }

    println!("None succeeds:");
    let requests = [("broken.org", 200), ("broken.com", 100)];
    let fetches = requests.map(|(url, millis)| fetch_data(url, millis));
    match first_success(fetches).await {
        Ok(data) => println!("{data}"),
        Err(errors) => errors
            .into_iter()
            .for_each(|error| print_result(Err(error))),
    }

    println!("Two futures of one task:");
    select! {
        result = fetch_data("slow.com", 300) => print_result(result),
        result = fetch_data("fast.com", 100) => print_result(result),
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
