//! Rate limit with a semaphore: a permit comes back one window after it was taken.
//!
//! If you hold a permit during a call, you limit how many calls run concurrently, not
//! how many start in a second. So `acquire` here takes a permit and calls `forget` on
//! it, which means that dropping the permit does not release it. A task adds the permit
//! again one window later. In asyncio, `call_later` does this without a task.
//!
//! | limiter | most calls in any window | keeps in memory |
//! |---|---|---|
//! | `token_bucket` | the burst plus the rate | one point in time |
//! | `sliding_window` | the limit | one point in time for each call |
//! | `semaphore_rate_limiter` | the limit | a task and a semaphore |
//!
//! Trap: If you release all permits together when a period ends, callers can use the
//! limit just before that moment and again just after it. So up to twice the limit gets
//! through in a short time. The layer `RateLimit` of `tower` does this. Here each
//! permit comes back at its own time.
//!
//! In production: The crate `governor` has a limit for each key, but it lets nearly
//! twice the limit into one window.
//!
//! asyncio: asyncio.Semaphore, asyncio.Semaphore.release, loop.call_later

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{AcquireError, Semaphore, TryAcquireError, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// A strict rate limit: at most `limit` calls in any window.
///
/// First come, first served. It has a task, which ends when the limiter is dropped.
#[derive(Debug)]
pub struct RateLimiter {
    permits: Arc<Semaphore>,
    /// Tells the task when a permit was taken. At most `limit` moments wait in it.
    taken: mpsc::UnboundedSender<Instant>,
    _release: AbortOnDropHandle<()>,
}

impl RateLimiter {
    /// Returns a limiter for at most `limit` calls in each `window`.
    ///
    /// Timers wake up to a millisecond late, so a permit may come back that much later,
    /// never earlier.
    ///
    /// # Panics
    ///
    /// If either is zero, if `limit` is above [`Semaphore::MAX_PERMITS`], if an
    /// [`Instant`] cannot hold the end of the window, and outside a Tokio runtime.
    pub fn new(limit: usize, window: Duration) -> Self {
        assert!(limit > 0, "a limit of zero lets nothing through");
        assert!(!window.is_zero(), "a window of zero is no limit");
        let end = Instant::now().checked_add(window);
        assert!(end.is_some(), "the window would never end");
        let permits = Arc::new(Semaphore::new(limit));
        let (taken, stamps) = mpsc::unbounded_channel();
        let release = release(CloseAtEnd(Arc::clone(&permits)), stamps, window);
        Self {
            permits,
            taken,
            _release: AbortOnDropHandle::new(tokio::spawn(release)),
        }
    }

    /// Waits until one more call fits into the window. Returns the moment that the limit
    /// counts. A call may come exactly one window after the oldest.
    ///
    /// If the future is dropped while it waits, nothing is counted, and the next waiter
    /// gets the permit. Do not keep a future that has begun to wait and that you no
    /// longer await, as after a `select!`: it may hold a permit.
    ///
    /// # Errors
    ///
    /// If the runtime of the limiter's task has ended.
    pub async fn acquire(&self) -> Result<Instant, AcquireError> {
        let permit = self.permits.acquire().await?;
        permit.forget();
        Ok(self.release_later())
    }

    /// Counts a call if it fits into the window. A server answers other calls with 429.
    /// Waiting callers are never overtaken. If you need the time for `Retry-After`, take
    /// `sliding_window`.
    ///
    /// # Errors
    ///
    /// If the window is full, or the runtime of the limiter's task has ended.
    pub fn try_acquire(&self) -> Result<Instant, TryAcquireError> {
        self.permits.try_acquire()?.forget();
        Ok(self.release_later())
    }

    fn release_later(&self) -> Instant {
        let now = Instant::now();
        // Without a receiver the semaphore is closed.
        let _ = self.taken.send(now);
        now
    }
}

/// Releases each permit one window after it was taken.
async fn release(
    permits: CloseAtEnd,
    mut taken: mpsc::UnboundedReceiver<Instant>,
    window: Duration,
) {
    while let Some(stamp) = taken.recv().await {
        sleep_until(stamp + window).await;
        permits.0.add_permits(1);
    }
}

/// Closes the semaphore when the task ends, or callers would wait forever.
struct CloseAtEnd(Arc<Semaphore>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Prints its arguments, at most two in a second: `cargo run -- a b c d`.
#[tokio::main]
async fn main() -> Result<(), AcquireError> {
    let limiter = RateLimiter::new(2, Duration::from_secs(1));
    for name in std::env::args().skip(1) {
        limiter.acquire().await?;
        println!("{name}");
    }
    Ok(())
}

//@ try: tea cake pie -> pie
