//! Return the value of the first task that succeeds, or all errors if none succeeds.
//!
//! The function `first_success` below takes tasks out of a `JoinSet` (Tokio's set of
//! tasks) as they complete. When a task fails, its error is kept and the race continues.
//! When a task succeeds, `JoinSet::shutdown` aborts the others and waits until each has
//! dropped its values. JavaScript calls this race `Promise.any`.
//!
//! Trap: If you use `futures::future::select_ok` and all calls fail, you get only the
//! last error. `select_ok` also runs all calls in one task, so a call that blocks its
//! thread holds up the others. `first_success` below returns all errors, and runs each
//! call in its own task.
//!
//! See also: `first_completed`, `hedged_request`.
//!
//! asyncio: asyncio.as_completed, asyncio.Task.cancel, finally

use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// Any error that can move to another thread.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs all futures as tasks and returns the value of the first that succeeds. The other
/// tasks are aborted, and have ended when this returns.
///
/// # Errors
///
/// All errors in order of arrival, if no future succeeds; a panic counts as one. `E` is
/// most simply `Box<dyn Error + Send + Sync>`; an enum needs `impl From<JoinError>`.
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

async fn fetch_data(url: &str, millis: u64) -> Result<String, Failure> {
    sleep(Duration::from_millis(millis)).await;
    if url.starts_with("broken") {
        return Err(format!("{url} does not answer").into());
    }
    println!("{url} answers");
    Ok(format!("Data from {url}"))
}

#[tokio::main]
async fn main() {
    println!("The first that succeeds:");
    let requests = [("slow.com", 300), ("broken.com", 100), ("fast.com", 200)];
    let fetches = requests.map(|(url, millis)| fetch_data(url, millis));
    if let Ok(data) = first_success(fetches).await {
        println!("{data}");
    }

    println!("None succeeds:");
    let fetches = [fetch_data("broken.org", 200), fetch_data("broken.com", 100)];
    for error in first_success(fetches).await.err().unwrap_or_default() {
        println!("Error: {error}");
    }
}
