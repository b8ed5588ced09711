//! Rate limit with a semaphore: a permit comes back a while after it was taken.
//!
//! A permit that is held during the call limits how many run at once, not how many begin
//! in a second: short calls all get through. Here the call does not give it back; a task
//! does, one window after it was taken. (In asyncio a `call_later` does without a task.)
//! The trap is to give all permits back at once when a period ends: up to twice the limit
//! gets through around that moment (`RateLimit` of the crate `tower` does so). A server
//! may refuse instead of waiting: `try_acquire`. The same limit without a task, in a
//! static: `sliding_window`. The crate `governor` has a limit for each key, but lets
//! nearly twice the limit through in one window, as `token_bucket` does.
//!
//! asyncio: asyncio.Semaphore, asyncio.Semaphore.release, loop.call_later
//! asyncio: asyncio.Semaphore.locked

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{AcquireError, Semaphore, TryAcquireError, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

/// A strict rate limit: at most so many calls in any window of that length.
///
/// Who asks is served in the order of asking. A task of its own gives the permits back;
/// it ends when the limiter is dropped.
pub struct RateLimiter {
    permits: Arc<Semaphore>,
    /// Tells the task when a permit was taken. There are never more in it than permits.
    taken: mpsc::UnboundedSender<Instant>,
    _gives_back: AbortOnDropHandle<()>,
}

impl RateLimiter {
    /// At most `limit` calls in each `window`.
    ///
    /// Tokio's timers wake up to a millisecond late, so a permit comes back that much
    /// later than it might, never earlier.
    ///
    /// # Panics
    ///
    /// If either is zero, if `limit` is above [`Semaphore::MAX_PERMITS`] or the window
    /// longer than an [`Instant`] can tell, and outside of a Tokio runtime.
    pub fn new(limit: usize, window: Duration) -> Self {
        assert!(limit > 0, "a limit of zero lets nothing through");
        assert!(!window.is_zero(), "a window of zero is no limit");
        let end = Instant::now().checked_add(window);
        assert!(end.is_some(), "the window would never end");
        let permits = Arc::new(Semaphore::new(limit));
        let (taken, stamps) = mpsc::unbounded_channel();
        let give_back = give_back(CloseAtEnd(Arc::clone(&permits)), stamps, window);
        Self {
            permits,
            taken,
            _gives_back: AbortOnDropHandle::new(tokio::spawn(give_back)),
        }
    }

    /// Waits until one more call fits into the window. Returns the moment at which it
    /// counts; the limit is for these moments. The window is without its end: a call may
    /// come exactly one window after another.
    ///
    /// Cancel-safe: dropped while it waits, it counts nothing, and the next in line gets
    /// the permit. Await it or drop it: a call that has begun to wait, and is then kept
    /// without being awaited, keeps its permit from all others.
    ///
    /// # Errors
    ///
    /// When the runtime has ended in which the limiter was made, so that nobody gives
    /// permits back.
    pub async fn acquire(&self) -> Result<Instant, AcquireError> {
        let permit = self.permits.acquire().await?;
        permit.forget();
        Ok(self.give_back_later())
    }

    /// The same for those who do not wait, such as a server that then answers with 429.
    /// It never overtakes those who do.
    ///
    /// # Errors
    ///
    /// When the window is full, or the runtime has ended in which the limiter was made.
    pub fn try_acquire(&self) -> Result<Instant, TryAcquireError> {
        self.permits.try_acquire()?.forget();
        Ok(self.give_back_later())
    }

    fn give_back_later(&self) -> Instant {
        let now = Instant::now();
        // Without a receiver the semaphore is closed.
        let _ = self.taken.send(now);
        now
    }
}

/// Gives each permit back one window after it was taken.
async fn give_back(
    permits: CloseAtEnd,
    mut taken: mpsc::UnboundedReceiver<Instant>,
    window: Duration,
) {
    while let Some(stamp) = taken.recv().await {
        sleep_until(stamp + window).await;
        permits.0.add_permits(1);
    }
}

/// Closes the semaphore when the task ends, or callers would wait for ever.
struct CloseAtEnd(Arc<Semaphore>);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// It limits how many run at once, and nothing else.
async fn hold_while_it_runs(name: u32, permits: &Semaphore) -> Result<(), AcquireError> {
    let _permit = permits.acquire().await?;
    println!("call {name}");
    sleep(Duration::from_millis(100)).await;
    Ok(())
}

/// The trap: all permits come back when the period ends, however late they were taken.
async fn refill(permits: &Semaphore, limit: usize, period: Duration) {
    sleep(period).await;
    permits.add_permits(limit);
}

async fn call_with(name: u32, permits: &Semaphore) -> Result<(), AcquireError> {
    permits.acquire().await?.forget();
    println!("call {name}");
    Ok(())
}

async fn call(name: u32, limiter: &RateLimiter) -> Result<(), AcquireError> {
    limiter.acquire().await?;
    println!("call {name}");
    Ok(())
}

pub async fn run() -> Result<(), AcquireError> {
    const LIMIT: usize = 2;
    let window = Duration::from_millis(500);
    let late = Duration::from_millis(400);

    println!("A permit while the call runs, of 2:");
    let permits = &Semaphore::new(LIMIT);
    let calls = [1, 2, 3, 4, 5].map(|name| hold_while_it_runs(name, permits));
    join_all(calls)
        .await
        .into_iter()
        .collect::<Result<(), _>>()?;

    println!("All permits come back each 0.5 s, the calls come after 0.4 s:");
    let permits = &Semaphore::new(LIMIT);
    let calls = async {
        sleep(late).await;
        join_all([1, 2, 3, 4].map(|name| call_with(name, permits))).await
    };
    let ((), calls) = tokio::join!(biased; refill(permits, LIMIT, window), calls);
    calls.into_iter().collect::<Result<(), _>>()?;

    println!("Each permit comes back 0.5 s after it was taken:");
    let limiter = &RateLimiter::new(LIMIT, window);
    sleep(late).await;
    let calls = [1, 2, 3, 4, 5].map(|name| call(name, limiter));
    join_all(calls)
        .await
        .into_iter()
        .collect::<Result<(), _>>()?;

    println!("Who gives up does not count:");
    let gives_up = async {
        let patience = Duration::from_millis(100);
        match timeout(patience, call(7, limiter)).await {
            Ok(called) => called,
            Err(_) => {
                println!("call 7 gave up");
                Ok(())
            }
        }
    };
    let calls = tokio::join!(biased; call(6, limiter), gives_up, call(8, limiter));
    calls.0.and(calls.1).and(calls.2)?;

    sleep(Duration::from_millis(100)).await;
    println!("Who does not wait is refused:");
    for name in [9, 10] {
        match limiter.try_acquire() {
            Ok(_) => println!("call {name}"),
            Err(error) => println!("call {name}: {error}"),
        }
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), AcquireError> {
    run().await
}
