//! Retry, rate limit and cache with the crates backon, governor and moka, in a few lines.
//!
//! The crate `backon` retries calls, `governor` limits their rate, and `moka` is a cache
//! that loads a missing key only once. In Python you would take tenacity, aiolimiter and
//! async-lru (or cachetools). The tests of this page check what the book claims about
//! these and other crates.
//!
//! Trap: If you do not call `when`, `backon` retries all errors, even those that no retry
//! can cure. Pass `when` a closure that returns true for the errors to retry. Mind the
//! count, too: `with_max_times(3)` means three retries after the first call, so four
//! calls.
//!
//! Trap: If you give `governor` a burst of five and one more call each 0.2 s, it exceeds
//! a server's limit of five calls in a second. It lets nine calls through in the first
//! 0.9 s, because the burst comes on top of the rate. For a strict limit, use the example
//! `sliding_window`.
//!
//! Trap: If a timeout drops the first caller of a missing key, its load is lost, because
//! `moka` runs the load inside the first caller. The next caller starts the load again.
//! If the first caller is kept but no longer polled, as after a `select!`, all others
//! wait. To keep the first load running, use the example `single_flight`.
//!
//! In production: In your tests, Tokio's paused clock does not move `moka`, nor the waits
//! of `governor`. To test without a wait, give `governor` a `FakeRelativeClock`, which
//! you move by hand. Then call `RateLimiter::check`, which answers immediately, instead
//! of waiting.
//!
//! See also: `retry`, `token_bucket`, `sliding_window`, `ttl_cache`, `single_flight`.
//!
//! asyncio: asyncio.Semaphore, asyncio.timeout, asyncio.sleep, asyncio.gather
//! differs: moka loads in the first caller, async-lru in a task that others keep alive

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use futures::future::join_all;
use governor::{Quota, RateLimiter};
use moka::future::Cache;
use tokio::join;
use tokio::time::{interval, sleep, timeout};

const TENTH: Duration = Duration::from_millis(100);
const BURST: NonZeroU32 = NonZeroU32::new(5).expect("it is not 0");

type Answer = Result<(), &'static str>;

/// Retries three times, after 0.1, 0.2 and 0.4 s; `with_jitter` spreads the retries.
async fn with_backon(answer: Answer) -> Answer {
    let delays = ExponentialBuilder::default();
    let delays = delays.with_min_delay(TENTH).with_max_times(3);
    let call = || async move {
        println!("called");
        answer
    };
    call.retry(delays).when(|error| *error == "busy").await
}

/// Returns how many of twenty calls get through in 0.9 s.
async fn with_governor() -> usize {
    let quota = Quota::with_period(2 * TENTH).expect("it is not zero");
    let limiter = RateLimiter::direct(quota.allow_burst(BURST));
    let through = AtomicUsize::new(0);
    let calls = join_all((0..20).map(|_| async {
        limiter.until_ready().await;
        through.fetch_add(1, Relaxed)
    }));
    // Twenty calls take longer, so this always times out.
    let _ = timeout(9 * TENTH, calls).await;
    through.into_inner()
}

/// Returns how often three callers load a price; the first waits for `gives_up` at most.
async fn with_moka(gives_up: Duration) -> Result<usize, Arc<Infallible>> {
    let cache = Cache::builder().max_capacity(100).time_to_live(600 * TENTH);
    let (cache, loads) = (&cache.build(), &AtomicUsize::new(0));
    let price = || {
        cache.try_get_with("tea", async {
            loads.fetch_add(1, Relaxed);
            sleep(2 * TENTH).await;
            Ok::<_, Infallible>(250)
        })
    };
    match join!(biased; timeout(gives_up, price()), price(), price()) {
        (Ok(a), b, c) => println!("prices: {}, {}, {}", a?, b?, c?),
        (Err(_), b, c) => println!("prices: gave up, {}, {}", b?, c?),
    }
    Ok(loads.load(Relaxed))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Each part begins at its time, however late the one before it ended.
    let mut part = interval(Duration::from_secs(1));

    for answer in ["busy", "refused"] {
        part.tick().await;
        println!("Three retries:");
        if let Err(error) = with_backon(Err(answer)).await {
            println!("{error}");
        }
    }

    part.tick().await;
    println!("A burst of five, and one more each 0.2 s:");
    println!("{} of 20 within 0.9 s", with_governor().await);

    for gives_up in [5 * TENTH, TENTH] {
        part.tick().await;
        println!("Three load a price; the first gives up after {gives_up:?}:");
        println!("loads: {}", with_moka(gives_up).await?);
    }
    Ok(())
}

//@ clock: real
