//! Retry a failed call with exponential backoff and jitter, as `tenacity` does in Python.
//!
//! A future runs only once, so every attempt needs a new future: `retry` takes a closure
//! that creates it. The caller decides which errors to retry, and how often. Jitter (a
//! random part of the delay) spreads out clients that failed at the same moment.
//!
//! Bounds: At most `max_attempts` attempts are made, and no new one after `max_elapsed`.
//! An attempt that hangs is not cut off: put a `timeout` into the closure, as `main`
//! does.
//!
//! Trap: If an attempt times out, it may have succeeded on the server, so a retry may
//! place an order twice. Retry only what is idempotent, for example with an idempotency
//! key.
//!
//! Trap: If an attempt needs `&mut self`, the compiler refuses the closure: "captured
//! variable cannot escape `FnMut` closure body". Let the method take `&self`, with a lock
//! around what changes, or move a clone into each attempt.
//!
//! In production: The crate `backon` can also retry blocking code, and hand a value from
//! attempt to attempt (`RetryableWithContext`). Its jitter lengthens a delay, up to
//! twice; here jitter shortens the delay. Its time limit, `with_total_delay()`, counts
//! only the delays; here the limit also counts the time of the attempts.
//!
//! See also: `retry_jitter`, `timeouts`, `circuit_breaker`, `hedged_request`.
//!
//! asyncio: asyncio.sleep, asyncio.timeout, except, raise

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often to retry, and how long to wait in between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy {
    /// The number of attempts, including the first. 0 counts as 1.
    pub max_attempts: u32,
    /// No attempt is planned for later than this time after the first attempt. An attempt
    /// may start a little late, as timers wake late.
    pub max_elapsed: Duration,
    /// The backoff before the first retry. It doubles with every further retry.
    pub initial_backoff: Duration,
    /// The longest backoff.
    pub max_backoff: Duration,
    /// Whether to wait for a random part of the backoff, instead of all of it ("full
    /// jitter").
    pub jitter: bool,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 4,
            max_elapsed: Duration::from_secs(60),
            initial_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(10),
            jitter: true,
        }
    }
}

/// Whether an error is worth another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retryable {
    /// No: another attempt would fail as well.
    No,
    /// Yes, after the backoff.
    Yes,
    /// Yes, after this time and the backoff, as for the header `Retry-After` of HTTP. The
    /// backoff keeps clients from coming back at the same moment.
    After(Duration),
}

/// Calls until an attempt succeeds. Otherwise returns the error of the last attempt.
///
/// The first attempt starts immediately. `retryable` is called after each failed attempt,
/// even after the last: log the error there, or take [`retry_notify`]. Dropping the
/// future drops the running attempt and starts no other.
///
/// `call` is a closure that returns a future, `|| fetch(url)`. With an `AsyncFnMut` it
/// could not borrow in a spawned task ("implementation of `Send` is not general enough").
///
/// # Errors
///
/// The error of the last attempt, when it is not retryable, there are no more attempts,
/// or the next would start too late.
pub async fn retry<T, E, Fut>(
    policy: &RetryPolicy,
    retryable: impl FnMut(&E) -> Retryable,
    call: impl FnMut() -> Fut,
) -> Result<T, E>
where
    Fut: Future<Output = Result<T, E>>,
{
    retry_notify(policy, retryable, |_, _, _| {}, call).await
}

/// Does what [`retry`] does. Before each wait it calls `notify` with the error, the
/// number of failed attempts and the time until the next one: "attempt 2 failed, again in
/// 0.4 s".
///
/// # Errors
///
/// Those of [`retry`].
pub async fn retry_notify<T, E, Fut>(
    policy: &RetryPolicy,
    mut retryable: impl FnMut(&E) -> Retryable,
    mut notify: impl FnMut(&E, u32, Duration),
    mut call: impl FnMut() -> Fut,
) -> Result<T, E>
where
    Fut: Future<Output = Result<T, E>>,
{
    let start = Instant::now();
    let mut attempts = 0;
    loop {
        let error = match call().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        attempts += 1;
        let at_least = match retryable(&error) {
            Retryable::No => return Err(error),
            Retryable::Yes => Duration::ZERO,
            Retryable::After(delay) => delay,
        };
        let delay = at_least.saturating_add(policy.backoff(attempts));
        let too_late = start.elapsed().saturating_add(delay) > policy.max_elapsed;
        if attempts >= policy.max_attempts || too_late {
            return Err(error);
        }
        notify(&error, attempts, delay);
        // The error may own a connection.
        drop(error);
        sleep(delay).await;
    }
}

impl RetryPolicy {
    /// Returns the backoff after this many attempts.
    pub fn backoff(&self, attempts: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
        let backoff = self.initial_backoff.saturating_mul(doubled);
        let backoff = backoff.min(self.max_backoff);
        if self.jitter {
            backoff.mul_f64(fastrand::f64())
        } else {
            backoff
        }
    }
}

/// Waits until a server accepts connections: `cargo run -- localhost:5432 30`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [address, seconds] = args.as_slice() else {
        return Err("usage: HOST:PORT SECONDS".into());
    };
    let policy = RetryPolicy {
        max_attempts: u32::MAX,
        max_elapsed: Duration::from_secs(seconds.parse()?),
        ..RetryPolicy::default()
    };
    let retryable = |error: &std::io::Error| match error.kind() {
        std::io::ErrorKind::InvalidInput => Retryable::No,
        _ => Retryable::Yes,
    };
    let notify = |error: &std::io::Error, attempt, wait| {
        eprintln!("attempt {attempt} failed: {error}; again in {wait:.1?}");
    };
    let attempt = async || {
        let connect = tokio::net::TcpStream::connect(address);
        tokio::time::timeout(Duration::from_secs(2), connect).await?
    };
    retry_notify(&policy, retryable, notify, attempt).await?;
    println!("{address} accepts connections");
    Ok(())
}

//@ try: 127.0.0.1:1 1 -> refused
//@ try: localhost 60 -> invalid socket address
