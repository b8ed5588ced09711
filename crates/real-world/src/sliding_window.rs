//! Rate limit by a sliding window: never more than N calls in any minute.
//!
//! The limiter keeps the times of the last calls. At the limit, the next call waits
//! until the oldest call is one window (for example a minute) ago. Only the first
//! waiter sleeps, and the others queue behind it. A server should not wait:
//! `try_acquire` refuses the call and returns the time for the header `Retry-After`.
//!
//! | limiter | most calls in any window | keeps in memory |
//! |---|---|---|
//! | `token_bucket` | the burst plus the rate | one point in time |
//! | `sliding_window` | the limit | one point in time for each call |
//! | `semaphore_rate_limiter` | the limit | a task and a semaphore |
//!
//! Trap: If your `acquire` calls itself to try again while it still holds the lock, it
//! waits forever for its own lock. Do not count on the compiler: it refuses such a
//! function ("recursion in an async fn requires boxing"), but accepts it once the call is
//! boxed. Write a loop instead.
//!
//! In production: The crate `governor` has a limit for each key and calls that cost more
//! than one (`check_n`), and tells how many calls are left. But it lets nearly twice the
//! limit into one window.
//!
//! asyncio: asyncio.Lock, asyncio.sleep, asyncio.gather, asyncio.timeout, loop.time

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

/// A strict rate limit: at most `limit` calls in any window. Known as "sliding window
/// log".
///
/// First come, first served. It has no task and belongs to no runtime, so it can be in an
/// `Arc` or in a `static`.
#[derive(Debug)]
pub struct SlidingWindow {
    limit: usize,
    window: Duration,
    /// The moments of the last calls, oldest first. Never locked across an await.
    calls: Mutex<VecDeque<Instant>>,
    /// The queue of waiters: the first one holds the only permit while it sleeps.
    turn: Semaphore,
}

impl SlidingWindow {
    /// Returns a limiter for at most `limit` calls in each `window`.
    ///
    /// Timers wake up to a millisecond late, so windows of ten milliseconds may take
    /// eleven.
    ///
    /// # Panics
    ///
    /// If either is zero, or if an [`Instant`] cannot hold the end of the window.
    pub fn new(limit: usize, window: Duration) -> Self {
        assert!(limit > 0, "a limit of zero lets nothing through");
        assert!(!window.is_zero(), "a window of zero is no limit");
        let end = Instant::now().checked_add(window);
        assert!(end.is_some(), "the window would never end");
        Self {
            limit,
            window,
            calls: Mutex::default(),
            turn: Semaphore::new(1),
        }
    }

    /// Waits until one more call fits into the window, and counts it. Returns the moment
    /// that the limit counts. A call may come exactly one window after the oldest.
    ///
    /// If the future is dropped while it waits, nothing is counted, and the next waiter
    /// takes its turn. Do not keep a future that has begun to wait and that you no
    /// longer await, as after a `select!`: it blocks all later callers.
    pub async fn acquire(&self) -> Instant {
        if let Ok(now) = self.try_acquire() {
            return now;
        }
        // The semaphore is never closed.
        let turn = self.turn.acquire().await;
        loop {
            let wait = {
                let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
                match self.count(&mut calls) {
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

    /// Counts a call if it fits into the window. It never overtakes waiting callers: if
    /// there are any, the error contains one window.
    pub fn try_acquire(&self) -> Result<Instant, RetryAfter> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if self.turn.available_permits() == 0 {
            return Err(RetryAfter(self.window));
        }
        self.count(&mut calls)
    }

    fn count(&self, calls: &mut VecDeque<Instant>) -> Result<Instant, RetryAfter> {
        let now = Instant::now();
        if calls.len() == self.limit {
            let leaves = calls.front().map_or(now, |oldest| *oldest + self.window);
            let wait = leaves.saturating_duration_since(now);
            if !wait.is_zero() {
                return Err(RetryAfter(wait));
            }
            calls.pop_front();
        }
        calls.push_back(now);
        Ok(now)
    }
}

/// The window is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("retry after {:.1} s", .0.as_secs_f64())]
pub struct RetryAfter(pub Duration);

/// Prints its arguments, at most two in a second: `cargo run -- a b c d`.
#[tokio::main]
async fn main() {
    let limiter = SlidingWindow::new(2, Duration::from_secs(1));
    for name in std::env::args().skip(1) {
        limiter.acquire().await;
        println!("{name}");
    }
}

//@ try: tea cake pie -> pie
