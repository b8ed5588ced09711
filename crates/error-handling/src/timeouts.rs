//! Timeouts: limit how long a call or a task may take, as `asyncio.wait_for` does.
//!
//! `timeout(limit, call).await` drops the call when the limit has passed. All values of
//! the call, such as a lock guard, are dropped before the error arrives. Write `??`: one
//! for `Elapsed`, one for the call's own error. In asyncio both can be a `TimeoutError`.
//!
//! Trap: a `timeout` around a task's handle ends only the wait, as with `asyncio.shield`.
//! The task runs on. Abort it, and await its end.
//!
//! Trap: if the call is pinned and passed by `&mut`, the timeout does not drop it.
//!
//! In production: `tower`'s `TimeoutLayer` limits each call of a service. It starts to
//! count when the service is ready, so the wait for a permit is not limited.
//!
//! See also: `deadlines`, `timeout_of_blocking_work`, `http_timeouts`.
//!
//! asyncio: asyncio.timeout, asyncio.wait_for, asyncio.shield, asyncio.TimeoutError
//! asyncio: asyncio.Timeout, asyncio.Timeout.expired

use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("no answer in time")]
    TooLate(#[from] Elapsed),
    #[error("no such page: {0}")]
    NotFound(String),
    #[error("the server itself waited too long")]
    Gateway,
}

/// Fetches a page within the limit. The `?` converts `Elapsed` to a `FetchError`.
pub async fn fetch_within(limit: Duration, page: &str) -> Result<String, FetchError> {
    timeout(limit, fetch(page)).await?
}

/// Returns the task's value. After the limit, aborts the task, waits until it has ended
/// and returns `None`. Dropping the future aborts the task.
///
/// # Errors
///
/// If the task panicked or was aborted by somebody else.
pub async fn join_or_stop<T>(
    limit: Duration,
    task: JoinHandle<T>,
) -> Result<Option<T>, JoinError> {
    let mut task = AbortOnDropHandle::new(task);
    if let Ok(outcome) = timeout(limit, &mut task).await {
        return outcome.map(Some);
    }
    task.abort();
    match task.await {
        Err(error) if error.is_cancelled() => Ok(None),
        // The task ended just before the abort.
        outcome => outcome.map(Some),
    }
}

/// A connection that is closed when it is dropped.
struct Connection<'a>(&'a str);

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        println!("the connection for {} is closed", self.0);
    }
}

async fn fetch(page: &str) -> Result<String, FetchError> {
    let _connection = Connection(page);
    let millis = if page == "/slow" { 500 } else { 100 };
    sleep(Duration::from_millis(millis)).await;
    match page {
        "/missing" => Err(FetchError::NotFound(page.to_string())),
        "/busy" => Err(FetchError::Gateway),
        _ => Ok(format!("the page {page}")),
    }
}

async fn pay(steps: u32) -> u32 {
    for step in 1..=steps {
        sleep(Duration::from_millis(100)).await;
        println!("payment: step {step} of {steps}");
    }
    steps
}

pub async fn run() -> Result<(), JoinError> {
    let limit = Duration::from_millis(250);

    println!("A timeout around a call:");
    for page in ["/quick", "/missing", "/busy", "/slow"] {
        match fetch_within(limit, page).await {
            Ok(text) => println!("got {text}"),
            Err(error) => println!("error: {error}"),
        }
    }

    println!("Around a task: the wait ends, and the task goes on:");
    let mut task = tokio::spawn(pay(4));
    // await asyncio.wait_for(asyncio.shield(task), limit)
    if timeout(limit, &mut task).await.is_err() {
        println!("timed out, but the payment goes on");
        println!("paid in {} steps", task.await?);
    }

    println!("Around a task, which is then cancelled:");
    for steps in [2, 4] {
        match join_or_stop(limit, tokio::spawn(pay(steps))).await? {
            Some(steps) => println!("paid in {steps} steps"),
            None => println!("stopped"),
        }
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
