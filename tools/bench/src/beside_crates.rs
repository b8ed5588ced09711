//! The components of the examples, beside the crates that are made for the same.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed;
use failsafe::backoff;
use failsafe::failure_policy::{
    ConsecutiveFailures, FailurePolicy, SuccessRateOverTimeWindow, consecutive_failures,
};
use failsafe::futures::CircuitBreaker as _;
use governor::{Quota, RateLimiter};
use moka::future::Cache;

use crate::examples::circuit_breaker::CircuitBreaker;
use crate::examples::connection_pool;
use crate::examples::sliding_window::SlidingWindow;
use crate::examples::token_bucket::TokenBucket;
use crate::examples::ttl_cache::TtlCache;
use crate::row::{Row, Work, for_each, row, timed};

const BUCKET: &str = "real-world/token_bucket";
const WINDOW: &str = "real-world/sliding_window";
const POOL: &str = "context-managers/connection_pool";
const BREAKER: &str = "error-handling/circuit_breaker";

/// In the order of the table.
pub fn rows() -> Vec<Row> {
    let tokens = "{n} tokens that are there, four tasks {on}";
    let passes =
        "{n} calls that a strict limit lets through immediately, four tasks {on}";
    let alone = "A connection taken {n} times from a pool of 8, one task";
    let contended = "A connection taken {n} times from a pool of 8, 32 tasks {on}";
    let cached = "{n} values of which nine in ten are in the cache, {on}";
    let calls = "{n} calls through a circuit breaker, none of which fails";
    vec![
        row("token_bucket", BUCKET, 1_000_000, tokens)
            .ours(bucket)
            .beside("governor", governor)
            .also_on_all_cores(),
        row("sliding_window", WINDOW, 1_000_000, passes)
            .ours(window)
            .beside("governor", governor)
            .also_on_all_cores(),
        row("connection_pool", POOL, 200_000, alone)
            .ours(|n| pool(1, n))
            .beside("deadpool", |n| deadpool(1, n)),
        row("connection_pool_contended", POOL, 200_000, contended)
            .ours(|n| pool(32, n))
            .beside("deadpool", |n| deadpool(32, n))
            .also_on_all_cores(),
        // The task that ours spawns wakes another thread, which finds nothing to do.
        row("ttl_cache", "real-world/ttl_cache", 200_000, cached)
            .ours(cache)
            .beside("moka", moka)
            .also_on_all_cores(),
        row("circuit_breaker", BREAKER, 2_000_000, calls)
            .ours(breaker)
            .beside("failsafe", |n| failsafe(by_default(), n))
            .beside("failsafe, counting in a row", |n| failsafe(in_a_row(), n)),
    ]
}

const HOUR: Duration = Duration::from_secs(3600);

/// A limiter lets this many callers through immediately.
const BURST: u32 = 1000;

/// The time after which one more may come. It is less than any call takes, so that nobody
/// has to wait.
const INTERVAL: Duration = Duration::from_nanos(1);

async fn bucket(size: u64) -> (u64, u64) {
    let bucket = Arc::new(TokenBucket::new(BURST, INTERVAL));
    for_each!(4, size, bucket, |number| {
        bucket.acquire().await;
        number
    })
}

// governor keeps one number, which it changes without a lock, and does not tell when the
// caller goes on. Ours is first come, first served, and yields to other tasks when it was
// called often.
async fn governor(size: u64) -> (u64, u64) {
    let quota = Quota::with_period(INTERVAL).expect("it is not zero");
    let burst = NonZeroU32::new(BURST).expect("it is not zero");
    let governor = Arc::new(RateLimiter::direct(quota.allow_burst(burst)));
    for_each!(4, size, governor, |number| {
        governor.until_ready().await;
        number
    })
}

// Ours keeps the moments of as many calls as its limit. governor need not, as it promises
// less: its first window may hold nearly twice the limit.
async fn window(size: u64) -> (u64, u64) {
    let window = Arc::new(SlidingWindow::new(BURST as usize, INTERVAL * BURST));
    for_each!(4, size, window, |number| {
        window.acquire().await;
        number
    })
}

const POOL_SIZE: usize = 8;

/// Tasks that use a connection for each of their numbers, one after the other. A
/// connection costs nothing, and counts how often it was used.
macro_rules! use_all {
    ($pool:expr, $acquire:ident, $tasks:expr, $size:expr) => {{
        let pool = $pool;
        for_each!($tasks, $size, pool, |_| {
            let mut uses = pool.$acquire().await.expect("an hour is enough");
            *uses += 1;
            0
        })
    }};
}

async fn pool(tasks: u64, size: u64) -> (u64, u64) {
    let connect = async || Ok(0);
    let has_broken = |uses: &u64| *uses == u64::MAX;
    let pool = connection_pool::Pool::new(POOL_SIZE, HOUR, connect, has_broken);
    use_all!(pool, acquire, tasks, size)
}

struct Manager;

impl managed::Manager for Manager {
    type Type = u64;
    type Error = Infallible;

    async fn create(&self) -> Result<u64, Infallible> {
        Ok(0)
    }

    async fn recycle(
        &self,
        uses: &mut u64,
        _metrics: &managed::Metrics,
    ) -> managed::RecycleResult<Infallible> {
        match *uses {
            u64::MAX => Err(managed::RecycleError::message("it is broken")),
            _ => Ok(()),
        }
    }
}

// deadpool limits the time of each step, ours that of all steps together. deadpool counts
// the uses of each connection. `close` of ours waits until all connections are released.
async fn deadpool(tasks: u64, size: u64) -> (u64, u64) {
    let builder = managed::Pool::builder(Manager).max_size(POOL_SIZE);
    let builder = builder.runtime(deadpool::Runtime::Tokio1);
    let builder = builder.timeouts(managed::Timeouts {
        wait: Some(HOUR),
        create: Some(HOUR),
        recycle: Some(HOUR),
    });
    let pool: managed::Pool<Manager> = builder.build().expect("it has a runtime");
    use_all!(pool, get, tasks, size)
}

/// How many entries a cache has room for, how many keys there are, and how many of them are
/// in demand.
const CAPACITY: usize = 5_000;
const KEYS: u64 = 10_000;
const HOT: u64 = 2_000;

async fn load(key: u64) -> Result<u64, Infallible> {
    Ok(3 * key)
}

/// Gets the value of each key, in a task. The keys are the same in each run: 85 of 100 are in
/// demand, and of the rest some are in the cache.
async fn look_up<G, E>(size: u64, get: impl Fn(u64) -> G + Send + Sync + 'static) -> Work
where
    G: Future<Output = Result<u64, E>> + Send,
    E: std::fmt::Debug,
{
    let task = tokio::spawn(async move {
        let mut random = fastrand::Rng::with_seed(7);
        let mut key = move || match random.u8(0..100) {
            0..85 => random.u64(0..HOT),
            _ => random.u64(HOT..KEYS),
        };
        // What the cache needs to be full is not measured.
        for _ in 0..4 * KEYS {
            get(key()).await.expect("nothing fails");
        }
        let all = async {
            let mut sum = 0;
            for _ in 0..size {
                sum += get(key()).await.expect("nothing fails");
            }
            (size, sum)
        };
        timed(all).await
    });
    task.await.expect("it does not panic")
}

// moka keeps the values that are used most often, ours those that were used last; the two
// hit nearly as often. The caller of moka runs the load, while ours spawns a task for it,
// which goes on when the caller leaves. moka drops expired values when it is used the next
// time, ours drops them by itself.
async fn cache(size: u64) -> Work {
    let cache = TtlCache::new(CAPACITY, HOUR);
    let get = move |key| {
        let cache = cache.clone();
        async move { cache.get_or_load(key, load(key)).await }
    };
    look_up(size, get).await
}

async fn moka(size: u64) -> Work {
    let builder = Cache::builder().max_capacity(CAPACITY as u64);
    let cache = builder.time_to_live(HOUR).build();
    let get = move |key| {
        let cache = cache.clone();
        async move { cache.try_get_with(key, load(key)).await }
    };
    look_up(size, get).await
}

async fn answer(number: u64) -> Result<u64, u64> {
    Ok(number)
}

async fn breaker(size: u64) -> (u64, u64) {
    let breaker = CircuitBreaker::new(3, HOUR, |_: &u64| true);
    let mut sum = 0;
    for number in 0..size {
        let called = breaker.call(|| answer(number)).await;
        sum += called.expect("it is closed").expect("nothing fails");
    }
    (size, sum)
}

// Ours knows calls that began before the circuit changed, and lets one probe pass where failsafe lets all pass.
async fn failsafe(policy: impl FailurePolicy + Send + Sync, size: u64) -> (u64, u64) {
    let breaker = failsafe::Config::new().failure_policy(policy).build();
    let mut sum = 0;
    for number in 0..size {
        let called = breaker.call_with(|_: &u64| true, answer(number)).await;
        sum += called.expect("nothing fails");
    }
    (size, sum)
}

/// Opens after failures in a row, as ours does.
fn in_a_row() -> impl FailurePolicy + Send + Sync {
    consecutive_failures(3, backoff::constant(HOUR))
}

/// What failsafe does by default: it opens at a rate of failures as well, which ours cannot.
fn by_default() -> impl FailurePolicy + Send + Sync {
    SuccessRateOverTimeWindow::default().or_else(ConsecutiveFailures::default())
}
