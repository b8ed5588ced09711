//! Rate limit with a token bucket: so many calls per second, and bursts up to a size.
//!
//! A token comes in each interval, until the bucket is full; a call takes one or waits.
//! The trap, in asyncio too, is to look, to sleep, and to take then: all who look before
//! the first one takes go at once. Here whoever is first in line keeps the lock while it
//! sleeps; those who wait for the lock are not woken before. A bucket is no limit for a
//! window of time: with a burst of ten, and ten tokens a second, 19 calls fit into one
//! second. So it is with the crate `governor`, which does more (a limit for each key, no
//! lock) and less: its waiters all wake and try again, in no order. A limit that holds in
//! each window: `sliding_window`. A limit of how many run at once: `semaphore`.
//!
//! asyncio: asyncio.Lock, asyncio.sleep, asyncio.gather, asyncio.timeout, loop.time

use std::fmt;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// A token bucket: a limit of calls in the long run, with bursts.
///
/// In any time it gives at most `burst` tokens, and one more for each whole `interval`
/// in that time. Who asks is served in the order of asking. It has no task of its
/// own and belongs to no runtime, so it may stand in an `Arc` or in a `static`.
///
/// It keeps one moment instead of a number of tokens, as the generic cell rate algorithm
/// (GCRA) does: nothing is rounded, and nothing counts while nobody asks.
pub struct TokenBucket {
    burst: u32,
    interval: Duration,
    /// When the bucket is full, if nobody takes a token. The lock is the line.
    full_at: Mutex<Instant>,
}

/// More tokens were asked for than the bucket can hold, so waiting would not help.
#[derive(Debug, PartialEq, Eq)]
pub struct MoreThanFits {
    /// So many were asked for.
    pub tokens: u32,
    /// So many fit.
    pub burst: u32,
}

impl fmt::Display for MoreThanFits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tokens, burst } = self;
        write!(f, "{tokens} tokens, and the bucket holds {burst}")
    }
}

impl std::error::Error for MoreThanFits {}

impl TokenBucket {
    /// A full bucket of `burst` tokens, to which one is added each `interval`. For five
    /// in a second, `interval` is `Duration::from_secs(1) / 5`.
    ///
    /// Tokio's timers wake up to a millisecond late. Tokens that come meanwhile are kept
    /// as far as they fit: with a `burst` of 1 the lateness is lost, and with an
    /// `interval` of few milliseconds fewer calls get through than might, never more.
    ///
    /// # Panics
    ///
    /// If either is zero, or if filling the bucket takes longer than an [`Instant`] can
    /// tell.
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

    /// Takes one token, and waits for it if there is none. Returns the moment at which it
    /// was taken; the limit is for these moments.
    ///
    /// Cancel-safe: dropped while it waits, it takes nothing, and the next in line gets
    /// the token. Await it or drop it: a call that has begun to wait, and is then kept
    /// without being awaited, holds up all who come after it.
    pub async fn acquire(&self) -> Instant {
        self.take(1).await
    }

    /// Takes so many tokens at once, when all of them are there. Others who ask later
    /// wait until then, even for fewer. Otherwise as [`acquire`](Self::acquire).
    ///
    /// # Errors
    ///
    /// [`MoreThanFits`], at once, if the bucket never holds so many.
    pub async fn acquire_many(&self, tokens: u32) -> Result<Instant, MoreThanFits> {
        let burst = self.burst;
        if tokens > burst {
            return Err(MoreThanFits { tokens, burst });
        }
        Ok(self.take(tokens).await)
    }

    async fn take(&self, tokens: u32) -> Instant {
        let mut full_at = self.full_at.lock().await;
        self.wait_until_there(*full_at, tokens).await;
        let now = Instant::now();
        *full_at = now.max(*full_at) + self.interval * tokens;
        now
    }

    /// Sleeps until the bucket lacks no more than what may be missing.
    async fn wait_until_there(&self, full_at: Instant, tokens: u32) {
        let missing = self.interval * (self.burst - tokens);
        if full_at > Instant::now() + missing {
            sleep_until(full_at - missing).await;
        }
    }
}

/// The trap: nobody keeps the others from looking while it sleeps.
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

pub async fn run() -> Result<(), MoreThanFits> {
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

    println!("Who gives up takes nothing:");
    let gives_up = async {
        let patience = Duration::from_millis(100);
        if timeout(patience, call("9", bucket)).await.is_err() {
            println!("call 9 gave up");
        }
    };
    tokio::join!(biased; gives_up, call("10", bucket));

    println!("Who wants two keeps its place:");
    let two = async {
        bucket.acquire_many(2).await?;
        println!("call 11, of two");
        Ok(())
    };
    let (two, ()) = tokio::join!(biased; two, call("12", bucket));
    two?;

    println!("Who wants three is told at once:");
    if let Err(error) = bucket.acquire_many(3).await {
        println!("{error}");
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), MoreThanFits> {
    run().await
}
