//! Rate limit with a token bucket: N calls per second, and bursts up to a size.
//!
//! The bucket holds tokens, and each interval adds one until the bucket is full. A call
//! takes a token, or waits for one. A server should not wait: `try_acquire` refuses the
//! call and returns the time for the header `Retry-After`. To limit bandwidth, let one
//! token be one byte, and call `acquire_many`.
//!
//! | limiter | most calls in any window | keeps in memory |
//! |---|---|---|
//! | `token_bucket` | the burst plus the rate | one point in time |
//! | `sliding_window` | the limit | one point in time for each call |
//! | `semaphore_rate_limiter` | the limit | a task and a semaphore |
//!
//! Trap: If you write a limiter whose callers look for a token, sleep, and take it
//! afterwards, several callers sleep for the same token. Too many calls then start.
//! Here only the first waiter sleeps, and the others queue behind it.
//!
//! Trap: A bucket of ten tokens with ten tokens per second lets 19 calls into one
//! second: ten that were saved up and nine new ones. If the server that you call counts
//! strictly, it refuses some of them. Choose a small burst, or `sliding_window`.
//!
//! In production: The crate `governor` has a limit for each key, and tells how many
//! calls are left. Its waiters are not served first come, first served.
//!
//! asyncio: asyncio.Lock, asyncio.sleep, asyncio.gather, asyncio.timeout, loop.time

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// A token bucket: a limit of calls in the long run, with bursts.
///
/// In any period it gives at most `burst` tokens, and one more for each whole `interval`
/// in the period. First come, first served. It has no task and belongs to no runtime, so
/// it can be in an `Arc` or in a `static`.
///
/// It keeps one moment instead of a number of tokens, as the generic cell rate algorithm
/// (GCRA) does, so nothing is rounded.
#[derive(Debug)]
pub struct TokenBucket {
    burst: u32,
    interval: Duration,
    /// When the bucket will be full, if no token is taken. Never locked across an await.
    full_at: Mutex<Instant>,
    /// The queue of waiters: the first one holds the only permit while it sleeps.
    turn: Semaphore,
}

/// More tokens were requested than the bucket ever holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{tokens} tokens, and the bucket holds {burst}")]
pub struct InsufficientCapacity {
    /// The tokens that were requested.
    pub tokens: u32,
    /// The most that the bucket holds.
    pub burst: u32,
}

/// There is no token now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("retry after {:.1} s", .0.as_secs_f64())]
pub struct RetryAfter(pub Duration);

impl TokenBucket {
    /// Returns a full bucket of `burst` tokens, to which one is added each `interval`.
    /// For five in a second, `interval` is `Duration::from_secs(1) / 5`.
    ///
    /// Timers wake up to a millisecond late. With a `burst` of 1 that time is lost: at
    /// intervals of a few milliseconds, fewer calls get through, never more.
    ///
    /// # Panics
    ///
    /// If either is zero, or if an [`Instant`] cannot hold the time to fill the bucket.
    pub fn new(burst: u32, interval: Duration) -> Self {
        assert!(burst > 0, "a bucket for no tokens lets nothing through");
        assert!(!interval.is_zero(), "an interval of zero is no limit");
        let now = Instant::now();
        let fill = interval.checked_mul(burst);
        let full_at = fill.and_then(|fill| now.checked_add(fill));
        assert!(full_at.is_some(), "the bucket would never be full");
        Self {
            burst,
            interval,
            full_at: Mutex::new(now),
            turn: Semaphore::new(1),
        }
    }

    /// Waits for a token and takes it. Returns the moment that the limit counts.
    ///
    /// If the future is dropped while it waits, it takes nothing, and the next waiter
    /// gets the token. Do not keep a future that has begun to wait and that you no
    /// longer await, as after a `select!`: it blocks all later callers.
    pub async fn acquire(&self) -> Instant {
        self.take(1).await
    }

    /// Waits for several tokens and takes them together. Later callers wait, even if they
    /// want fewer. Otherwise as [`acquire`](Self::acquire). Fails immediately if the
    /// bucket never holds that many.
    pub async fn acquire_many(
        &self,
        tokens: u32,
    ) -> Result<Instant, InsufficientCapacity> {
        let burst = self.burst;
        if tokens > burst {
            return Err(InsufficientCapacity { tokens, burst });
        }
        Ok(self.take(tokens).await)
    }

    /// Takes a token if there is one. It never overtakes waiting callers: if there are
    /// any, the error contains one interval.
    pub fn try_acquire(&self) -> Result<Instant, RetryAfter> {
        self.try_take(1)
    }

    fn try_take(&self, tokens: u32) -> Result<Instant, RetryAfter> {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if self.turn.available_permits() == 0 {
            return Err(RetryAfter(self.interval));
        }
        self.take_from(&mut full_at, tokens)
    }

    async fn take(&self, tokens: u32) -> Instant {
        if let Ok(now) = self.try_take(tokens) {
            return now;
        }
        // The semaphore is never closed.
        let turn = self.turn.acquire().await;
        loop {
            let wait = {
                let mut full_at =
                    self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
                match self.take_from(&mut full_at, tokens) {
                    Ok(now) => {
                        // Under the lock, so that the next call finds no waiter.
                        drop(turn);
                        return now;
                    }
                    Err(RetryAfter(wait)) => wait,
                }
            };
            sleep(wait).await;
        }
    }

    fn take_from(
        &self,
        full_at: &mut Instant,
        tokens: u32,
    ) -> Result<Instant, RetryAfter> {
        let now = Instant::now();
        // The time that the bucket needs to be full, before and after.
        let lacks = full_at.saturating_duration_since(now);
        let wait = lacks.saturating_sub(self.interval * (self.burst - tokens));
        if !wait.is_zero() {
            return Err(RetryAfter(wait));
        }
        *full_at = now + lacks + self.interval * tokens;
        Ok(now)
    }
}

/// Prints its arguments, two immediately and then five in a second: `cargo run -- a b c
/// d`.
#[tokio::main]
async fn main() {
    let bucket = TokenBucket::new(2, Duration::from_secs(1) / 5);
    for name in std::env::args().skip(1) {
        bucket.acquire().await;
        println!("{name}");
    }
}

//@ try: tea cake pie -> pie
