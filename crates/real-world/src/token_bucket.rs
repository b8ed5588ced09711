//! Rate limit with a token bucket: N calls per second, and bursts up to a size.
//!
//! A token comes in each interval, until the bucket is full. A call takes one or waits. A
//! server does not wait: `try_acquire` tells the time for `Retry-After`.
//!
//! | limiter | at most in any window | keeps |
//! |---|---|---|
//! | `token_bucket` | the burst, and the rate in addition | one moment |
//! | `sliding_window` | the limit | a moment for each call |
//! | `semaphore_rate_limiter` | the limit | a task, and permits |
//!
//! Trap: callers that look, sleep and then take a token all look before the first one
//! takes, in asyncio too. Here the first waiter holds the lock while it sleeps.
//!
//! Trap: a bucket is no limit for a window. With a burst of ten and ten tokens a second,
//! 19 calls fit into one second. So it is with `governor`.
//!
//! In production: `governor` has a limit for each key. Its waiters retry in no order.
//!
//! asyncio: asyncio.Lock, asyncio.sleep, asyncio.gather, asyncio.timeout, loop.time

use std::fmt;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// A token bucket: a limit of calls in the long run, with bursts.
///
/// In any time it gives at most `burst` tokens, and one more for each whole `interval` in
/// that time. First come, first served. It has no task and belongs to no runtime, so it
/// can be in an `Arc` or in a `static`.
///
/// It keeps one moment instead of a number of tokens, as the generic cell rate algorithm
/// (GCRA) does, so nothing is rounded.
pub struct TokenBucket {
    burst: u32,
    interval: Duration,
    /// When the bucket is full, if nobody takes a token. The first waiter holds the lock.
    full_at: Mutex<Instant>,
}

/// There are never so many tokens in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InsufficientCapacity {
    /// The tokens that were requested.
    pub tokens: u32,
    /// The most that the bucket holds.
    pub burst: u32,
}

impl fmt::Display for InsufficientCapacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tokens, burst } = self;
        write!(f, "{tokens} tokens, and the bucket holds {burst}")
    }
}

impl std::error::Error for InsufficientCapacity {}

/// There is no token now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(pub Duration);

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "retry after {:.1} s", self.0.as_secs_f64())
    }
}

impl std::error::Error for RetryAfter {}

impl TokenBucket {
    /// Returns a full bucket of `burst` tokens, to which one is added each `interval`.
    /// For five in a second, `interval` is `Duration::from_secs(1) / 5`.
    ///
    /// Timers wake up to a millisecond late. With a `burst` of 1 that time is lost, so
    /// with an interval of few milliseconds fewer calls get through than might, never
    /// more.
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
        let full_at = Mutex::new(now);
        Self {
            burst,
            interval,
            full_at,
        }
    }

    /// Waits for a token and takes it. Returns the moment, for which the limit holds.
    ///
    /// Dropped while it waits, it takes nothing, and the next waiter gets the token.
    /// Await it or drop it: a future that was polled and is kept blocks all later
    /// callers.
    pub async fn acquire(&self) -> Instant {
        self.take(1).await
    }

    /// Waits for several tokens and takes them at once. Later callers wait, even if they
    /// want fewer. Otherwise as [`acquire`](Self::acquire). Fails at once if the bucket
    /// never holds so many.
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

    /// Takes a token if there is one. It never overtakes callers that wait; if there are
    /// any, the time of the error is one interval.
    pub fn try_acquire(&self) -> Result<Instant, RetryAfter> {
        let lock = self.full_at.try_lock();
        let mut full_at = lock.map_err(|_| RetryAfter(self.interval))?;
        let now = Instant::now();
        let there = *full_at - self.interval * (self.burst - 1);
        if there > now {
            return Err(RetryAfter(there - now));
        }
        *full_at = now.max(*full_at) + self.interval;
        Ok(now)
    }

    async fn take(&self, tokens: u32) -> Instant {
        let mut full_at = self.full_at.lock().await;
        self.wait_until_there(*full_at, tokens).await;
        let now = Instant::now();
        *full_at = now.max(*full_at) + self.interval * tokens;
        now
    }

    /// Sleeps until so many tokens are in the bucket.
    async fn wait_until_there(&self, full_at: Instant, tokens: u32) {
        let missing = self.interval * (self.burst - tokens);
        if full_at > Instant::now() + missing {
            sleep_until(full_at - missing).await;
        }
    }
}

/// The trap: while it sleeps, others look as well.
async fn look_sleep_take(bucket: &TokenBucket) {
    let seen = *bucket.full_at.lock().await;
    bucket.wait_until_there(seen, 1).await;
    let mut full_at = bucket.full_at.lock().await;
    *full_at = Instant::now().max(*full_at) + bucket.interval;
}

async fn call(name: &str, bucket: &TokenBucket) {
    bucket.acquire().await;
    println!("call {name}");
}

pub async fn run() -> Result<(), InsufficientCapacity> {
    let interval = Duration::from_millis(200);

    println!("Look, sleep, and take:");
    let bucket = &TokenBucket::new(2, interval);
    join_all(["1", "2", "3", "4", "5"].map(|name| async move {
        look_sleep_take(bucket).await;
        println!("call {name}");
    }))
    .await;

    println!("One after the other:");
    let bucket = &TokenBucket::new(2, interval);
    join_all(["1", "2", "3", "4", "5"].map(|name| call(name, bucket))).await;

    println!("After a pause of three intervals, for two tokens:");
    sleep(3 * interval).await;
    join_all(["6", "7", "8"].map(|name| call(name, bucket))).await;

    println!("A caller that gives up takes nothing:");
    let gives_up = async {
        let patience = Duration::from_millis(100);
        if timeout(patience, call("9", bucket)).await.is_err() {
            println!("call 9 gave up");
        }
    };
    tokio::join!(biased; gives_up, call("10", bucket));

    println!("A caller that wants two tokens keeps its turn:");
    let two = async {
        bucket.acquire_many(2).await?;
        println!("call 11, of two");
        Ok(())
    };
    let (two, ()) = tokio::join!(biased; two, call("12", bucket));
    two?;

    println!("Three tokens never fit:");
    if let Err(error) = bucket.acquire_many(3).await {
        println!("{error}");
    }

    println!("Without waiting, after a pause:");
    sleep(3 * interval).await;
    for name in [13, 14, 15] {
        match bucket.try_acquire() {
            Ok(_) => println!("call {name}"),
            Err(error) => println!("call {name}: {error}"),
        }
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), InsufficientCapacity> {
    run().await
}
