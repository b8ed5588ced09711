//! Hedged requests: send a second request when the answer is late, take the first answer.
//!
//! `hedged` below calls the closure `request` once for each attempt. The second attempt
//! starts after a delay, or immediately when the first attempt fails. The loser is
//! dropped before `hedged` returns. Both attempts are futures of one task, so they may
//! borrow and need not be `Send`. In asyncio they are two tasks.
//!
//! Bounds: At most two attempts run. Unbounded: Their time. Put a `timeout` around the
//! call.
//!
//! Trap: If you hedge a request, the server may handle both attempts, even though you see
//! only one answer. So hedge only idempotent requests. Note also that hedging adds load
//! to a slow service.
//!
//! Trap: If the closure `request` moves a variable into its future, the compiler reports
//! "cannot move out of `order`, a captured variable in an `FnMut` closure". The second
//! attempt would have no variable left. Clone the variable for each attempt.
//!
//! In production: `tower`'s `Hedge` takes the delay from the latencies that it measures.
//! Its policy can refuse a second request, to hedge at most a share of the requests.
//!
//! See also: `retry`, `fallback`.
//!
//! asyncio: asyncio.wait, asyncio.as_completed, asyncio.Task.cancel, ExceptionGroup

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::select;
use tokio::time::sleep;

/// Both attempts failed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("both attempts failed: {first}; {second}")]
pub struct BothFailed<E> {
    /// The error of the first attempt, even if it ended last.
    pub first: E,
    pub second: E,
}

/// Sends a request, and a second one when the first fails or is late. Returns the value
/// of the first that succeeds.
///
/// Any error starts the second attempt immediately. Let the request return permanent
/// errors, such as "no such item", inside the `Ok`.
///
/// A `delay` of zero sends both requests, unless the first is ready within a millisecond:
/// each timer takes that long. `Duration::MAX` sends the second only after an error. Both
/// run in the caller's task.
/// Dropping the future drops both requests. The loser is dropped before this returns.
///
/// See J. Dean and L. A. Barroso, "The Tail at Scale", 2013.
///
/// # Errors
///
/// [`BothFailed`], with both errors.
///
/// # Panics
///
/// When a request does (the other one is dropped), or outside a Tokio runtime.
pub async fn hedged<T, E, F, Fut>(
    delay: Duration,
    mut request: F,
) -> Result<T, BothFailed<E>>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut first = pin!(request());
    let ended = select! {
        biased;
        result = &mut first => Some(result),
        () = sleep(delay) => None,
    };
    let first_error = match ended {
        Some(Ok(value)) => return Ok(value),
        Some(Err(error)) => Some(error),
        None => None,
    };
    let mut second = pin!(request());
    let (first, second) = if let Some(first) = first_error {
        (Err(first), second.await)
    } else {
        select! {
            biased;
            result = &mut first => match result {
                Ok(value) => return Ok(value),
                failed => (failed, second.await),
            },
            result = &mut second => match result {
                Ok(value) => return Ok(value),
                failed => (first.await, failed),
            },
        }
    };
    match (first, second) {
        (Ok(value), _) | (_, Ok(value)) => Ok(value),
        (Err(first), Err(second)) => Err(BothFailed { first, second }),
    }
}

/// Connects to a host, and after 0.2 s to another: `cargo run -- HOST:PORT HOST:PORT`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut hosts = std::env::args().skip(1);
    let connect = || tokio::net::TcpStream::connect(hosts.next().unwrap_or_default());
    let first = hedged(Duration::from_millis(200), connect).await?;
    println!("connected to {}", first.peer_addr()?);
    Ok(())
}

//@ try: 127.0.0.1:1 127.0.0.1:1 -> BothFailed
