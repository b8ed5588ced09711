//! The components of the examples, beside the crates that are made for the same.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use catalog::speed::Unit;
use deadpool::managed;
use failsafe::backoff;
use failsafe::failure_policy::{
    ConsecutiveFailures, FailurePolicy, SuccessRateOverTimeWindow, consecutive_failures,
};
use failsafe::futures::CircuitBreaker as _;
use governor::{DefaultDirectRateLimiter as Governor, Quota, RateLimiter};
use moka::future::Cache;
use rustix::time::ClockId;
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::examples::context_managers::connection_pool;
use crate::examples::error_handling::circuit_breaker::CircuitBreaker;
use crate::examples::real_world::sliding_window::SlidingWindow;
use crate::examples::real_world::token_bucket::TokenBucket;
use crate::examples::real_world::ttl_cache::TtlCache;
use crate::row::{On, Results, Row, Work, clocked, for_each, row, shared, timed};

/// In the order of the table.
pub fn rows() -> Vec<Row> {
    let rows = [limiters(), pools(), caches(), breakers()];
    rows.into_iter().flatten().collect()
}

const HOUR: Duration = Duration::from_secs(3600);

/// A limiter lets this many callers through at once.
const BURST: u32 = 1000;

/// The time after which one more may come. It is less than any call takes, so that nobody
/// has to wait.
const INTERVAL: Duration = Duration::from_nanos(1);

/// The window of the limiters whose callers wait.
const WINDOW: Duration = Duration::from_millis(100);

fn limiters() -> Vec<Row> {
    vec![
        row("token_bucket", "real-world/token_bucket", 1_000_000)
            .title("{n} tokens that are there, one thread")
            .ours(|n| bucket(1, n))
            .beside("governor", None, |n| governor(1, n)),
        row("token_bucket_4", "real-world/token_bucket", 400_000)
            .title("{n} tokens that are there, four threads")
            .on(On::FourThreads)
            .ours(|n| bucket(4, n))
            .beside("governor", None, |n| governor(4, n)),
        row("sliding_window", "real-world/sliding_window", 1_000_000)
            .title("{n} calls that a strict limit lets through at once, one thread")
            .ours(|n| window(1, n))
            .beside("governor", Some(3.5), |n| governor(1, n)),
        row("sliding_window_4", "real-world/sliding_window", 400_000)
            .title("{n} calls that a strict limit lets through at once, four threads")
            .on(On::FourThreads)
            .ours(|n| window(4, n))
            .beside("governor", Some(1.5), |n| governor(4, n)),
        row("limiter_waiting", "real-world/sliding_window", 2_000)
            .title(
                "{n} callers wait for a limit of a tenth in 0.1 s: the processors' time",
            )
            .unit(Unit::CpuSeconds)
            .on(On::AllCores)
            .ours(waiting_for_window)
            .beside("governor", Some(0.05), waiting_for_governor),
    ]
}

/// Of each task: the moments at which it went on, and the sum of its numbers.
type Acquired<T> = Vec<(Vec<T>, u64)>;

impl<T> Results for Acquired<T> {
    fn work(self, value: f64) -> Work {
        let count = |(moments, sum): (Vec<T>, u64)| (moments.len() as u64, sum);
        self.into_iter().map(count).collect::<Vec<_>>().work(value)
    }
}

/// How many of the moments the fullest window holds.
fn most_in(window: Duration, acquired: &Acquired<Instant>) -> usize {
    let moments = acquired.iter().flat_map(|(moments, _)| moments);
    let mut moments: Vec<&Instant> = moments.collect();
    moments.sort();
    let mut first = 0;
    let counts = moments.iter().enumerate().map(|(last, moment)| {
        while **moment >= *moments[first] + window {
            first += 1;
        }
        last + 1 - first
    });
    counts.max().unwrap_or_default()
}

/// Tasks that acquire once for each of their numbers, by an expression.
macro_rules! acquire_all {
    ($limiter:ident = $new:expr, $tasks:expr, $size:expr, $acquire:expr) => {
        async {
            let limiter = Arc::new($new);
            let tasks = shared($tasks, $size, |part| {
                let $limiter = Arc::clone(&limiter);
                async move {
                    let mut moments = Vec::with_capacity(part.size_hint().0);
                    let mut sum = 0;
                    for number in part {
                        moments.push($acquire);
                        sum += number;
                    }
                    (moments, sum)
                }
            });
            tasks.join_all().await
        }
    };
}

fn new_governor(interval: Duration, burst: u32) -> Governor {
    let quota = Quota::with_period(interval).expect("it is not zero");
    let burst = NonZeroU32::new(burst).expect("it is not zero");
    RateLimiter::direct(quota.allow_burst(burst))
}

async fn bucket(tasks: u64, size: u64) -> Acquired<Instant> {
    let bucket = TokenBucket::new(BURST, INTERVAL);
    acquire_all!(it = bucket, tasks, size, it.acquire().await).await
}

// governor keeps one number, which it changes without a lock, and does not tell when the
// caller goes on. Ours is first come, first served, and yields to other tasks when it was
// called often.
async fn governor(tasks: u64, size: u64) -> Acquired<()> {
    let governor = new_governor(INTERVAL, BURST);
    acquire_all!(it = governor, tasks, size, it.until_ready().await).await
}

// Ours keeps the moments of as many calls as its limit. governor need not, as it promises
// less: see `waiting_for_governor`.
async fn window(tasks: u64, size: u64) -> Work {
    let length = INTERVAL * BURST;
    let window = SlidingWindow::new(BURST as usize, length);
    let all = acquire_all!(it = window, tasks, size, it.acquire().await);
    let (value, acquired) = clocked(ClockId::Monotonic, all).await;
    assert!(most_in(length, &acquired) <= BURST as usize, "a window");
    acquired.work(value)
}

/// The limit with which ten windows are enough for all callers.
fn limit(size: u64) -> u32 {
    u32::try_from(size / 10).map_or(u32::MAX, |limit| limit.max(1))
}

/// Each caller is a task, and acquires once.
async fn waiting_for_window(size: u64) -> Work {
    let limit = limit(size) as usize;
    let window = SlidingWindow::new(limit, WINDOW);
    let all = acquire_all!(it = window, size, size, it.acquire().await);
    let (value, acquired) = clocked(ClockId::ProcessCPUTime, all).await;
    assert!(
        most_in(WINDOW, &acquired) <= limit,
        "too many in one window"
    );
    acquired.work(value)
}

// governor is a token bucket: the first window holds nearly twice the limit, the burst
// and what comes until its end. Its waiters all try again when the next token comes.
async fn waiting_for_governor(size: u64) -> Work {
    let limit = limit(size);
    let governor = new_governor(WINDOW / limit, limit);
    let all = acquire_all!(it = governor, size, size, {
        it.until_ready().await;
        Instant::now()
    });
    let (value, acquired) = clocked(ClockId::ProcessCPUTime, all).await;
    let most = most_in(WINDOW, &acquired);
    assert!(most > limit as usize, "it has become strict");
    acquired.work(value)
}

const POOL: &str = "context-managers/connection_pool";

fn pools() -> Vec<Row> {
    vec![
        row("connection_pool", POOL, 200_000)
            .title("A connection taken {n} times from a pool of 8, one task")
            .ours(|n| pool(1, n, false))
            .beside("deadpool", Some(0.6), |n| deadpool(1, n, false))
            .beside("bb8", Some(0.6), |n| bb8(1, n, false)),
        row("connection_pool_contended", POOL, 200_000)
            .title(
                "A connection taken {n} times from a pool of 8, 32 tasks on four threads",
            )
            .on(On::FourThreads)
            .ours(|n| pool(32, n, false))
            .beside("deadpool", Some(0.6), |n| deadpool(32, n, false))
            .beside("bb8", Some(0.6), |n| bb8(32, n, false)),
        // Most of this is the switching of tasks. A caller of bb8 takes what was released
        // before the waiters are awake; ours and deadpool are first come, first served.
        row("connection_pool_waiting", POOL, 100_000)
            .title("The same, held over an await, so that most wait")
            .on(On::FourThreads)
            .ours(|n| pool(32, n, true))
            .beside("deadpool", None, |n| deadpool(32, n, true))
            .beside("bb8", None, |n| bb8(32, n, true)),
    ]
}

/// Opens connections that cost nothing, and count how often they were used.
struct Manager;

/// No number of uses.
const BROKEN: u64 = u64::MAX;

const POOL_SIZE: usize = 8;

/// Tasks that use a connection for each of their numbers, and may hold it over an await.
macro_rules! use_all {
    ($pool:expr, $acquire:ident, $tasks:expr, $size:expr, $hold:expr) => {{
        let pool = $pool;
        let all = async {
            for_each!($tasks, $size, pool, |_| {
                let mut uses = pool.$acquire().await.expect("an hour is enough");
                *uses += 1;
                if $hold {
                    yield_now().await;
                }
                0
            })
        };
        let (value, _) = clocked(ClockId::Monotonic, all).await;
        let mut held = Vec::new();
        for _ in 0..POOL_SIZE {
            held.push(pool.$acquire().await.expect("an hour is enough"));
        }
        (held.iter().map(|uses| **uses).sum(), 0).work(value)
    }};
}

async fn pool(tasks: u64, size: u64, hold: bool) -> Work {
    let connect = async || Ok(0);
    let has_broken = |uses: &u64| *uses == BROKEN;
    let pool = connection_pool::Pool::new(POOL_SIZE, HOUR, connect, has_broken);
    use_all!(pool, acquire, tasks, size, hold)
}

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
            BROKEN => Err(managed::RecycleError::message("it is broken")),
            _ => Ok(()),
        }
    }
}

// deadpool limits the time of each step, ours that of all steps together. deadpool counts
// the uses of each connection. `close` of ours waits until all connections are released.
async fn deadpool(tasks: u64, size: u64, hold: bool) -> Work {
    let builder = managed::Pool::builder(Manager).max_size(POOL_SIZE);
    let builder = builder.runtime(deadpool::Runtime::Tokio1);
    let builder = builder.timeouts(managed::Timeouts {
        wait: Some(HOUR),
        create: Some(HOUR),
        recycle: Some(HOUR),
    });
    let pool: managed::Pool<Manager> = builder.build().expect("it has a runtime");
    use_all!(pool, get, tasks, size, hold)
}

impl bb8::ManageConnection for Manager {
    type Connection = u64;
    type Error = Infallible;

    async fn connect(&self) -> Result<u64, Infallible> {
        Ok(0)
    }

    async fn is_valid(&self, _uses: &mut u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn has_broken(&self, uses: &mut u64) -> bool {
        *uses == BROKEN
    }
}

// bb8 looks at each connection when it is taken and when it is released, counts what it
// does, and renews old connections, which ours does not. Its limit of time is for all
// steps, as ours is.
async fn bb8(tasks: u64, size: u64, hold: bool) -> Work {
    let builder = bb8::Pool::builder().max_size(POOL_SIZE as u32);
    let built = builder.connection_timeout(HOUR).build(Manager).await;
    use_all!(built.expect("nothing fails"), get, tasks, size, hold)
}

// moka keeps the values that are used most often, ours those that were used last; the two
// hit nearly as often. The caller of moka runs the load, while ours spawns a task for it,
// which goes on when the caller leaves. moka drops expired values when it is used the next
// time, ours drops them by itself.
fn caches() -> Vec<Row> {
    vec![
        row("ttl_cache", "real-world/ttl_cache", 200_000)
            .title("{n} values of which nine in ten are in the cache, {on}")
            .ours(cache)
            .beside("moka", Some(0.25), moka)
            // The task that ours spawns wakes another thread, which finds nothing to do.
            .also_on_all_cores(),
    ]
}

/// How many entries a cache has room for.
const CAPACITY: usize = 5_000;

/// How many keys there are, and how many of them are in demand.
const KEYS: u64 = 10_000;
const HOT: u64 = 2_000;

/// The same keys in each run, in an irregular order: 85 of 100 are in demand, and of the
/// rest some are in the cache. (The generator is SplitMix64.)
fn keys(count: u64) -> impl Iterator<Item = u64> {
    (0..count).scan(0u64, |state, _| {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let (kind, number) = (mixed % 100, mixed >> 8);
        Some(match kind {
            0..85 => number % HOT,
            _ => HOT + number % (KEYS - HOT),
        })
    })
}

/// Loads a value, and counts the loads.
async fn load(key: u64, loads: Arc<AtomicU64>) -> Result<u64, Infallible> {
    loads.fetch_add(1, Relaxed);
    Ok(3 * key)
}

/// Gets the value of each key, in a task.
async fn look_up<G>(
    size: u64,
    get: impl Fn(u64, Arc<AtomicU64>) -> G + Send + Sync + 'static,
) -> Work
where
    G: Future<Output = u64> + Send,
{
    let task = tokio::spawn(async move {
        let loads = Arc::default();
        // What the cache needs to be full is not measured.
        let filled = 4 * KEYS;
        let mut keys = keys(filled + size);
        for key in keys.by_ref().take(filled as usize) {
            assert_eq!(get(key, Arc::clone(&loads)).await, 3 * key);
        }
        loads.store(0, Relaxed);
        let all = async {
            let (mut items, mut sum) = (0, 0);
            for key in keys {
                items += 1;
                sum += get(key, Arc::clone(&loads)).await;
            }
            (items, sum)
        };
        let work = timed(all).await;
        let missed = loads.load(Relaxed) as f64 / work.items as f64;
        assert!((0.05..0.15).contains(&missed), "{missed} of the values");
        work
    });
    task.await.expect("it does not panic")
}

async fn cache(size: u64) -> Work {
    let cache = TtlCache::new(CAPACITY, HOUR);
    let get = move |key, loads| {
        let cache = cache.clone();
        async move {
            let value = cache.get_or_load(key, load(key, loads)).await;
            value.expect("nothing fails")
        }
    };
    look_up(size, get).await
}

async fn moka(size: u64) -> Work {
    let builder = Cache::builder().max_capacity(CAPACITY as u64);
    let cache = builder.time_to_live(HOUR).build();
    let get = move |key, loads| {
        let cache = cache.clone();
        async move {
            let value = cache.try_get_with(key, load(key, loads)).await;
            value.expect("nothing fails")
        }
    };
    look_up(size, get).await
}

fn breakers() -> Vec<Row> {
    vec![
        row(
            "circuit_breaker",
            "error-handling/circuit_breaker",
            2_000_000,
        )
        .title("{n} calls through a circuit breaker, none of which fails")
        .ours(|n| breaker(n, false))
        .beside("failsafe", Some(0.5), |n| failsafe(by_default(), n, false))
        .beside(IN_A_ROW, None, |n| failsafe(in_a_row(), n, false)),
        row(
            "circuit_breaker_failures",
            "error-handling/circuit_breaker",
            2_000_000,
        )
        .title("{n} calls through a circuit breaker, of which two in five fail")
        .ours(|n| breaker(n, true))
        .beside(IN_A_ROW, None, |n| failsafe(in_a_row(), n, true)),
    ]
}

const IN_A_ROW: &str = "failsafe, counting in a row";

/// How many failures in a row open the circuit: one more than there are.
const THRESHOLD: u32 = 3;

/// Answers at once, or fails.
async fn answer(number: u64, fails: bool) -> Result<u64, u64> {
    match number % 5 {
        0 | 1 if fails => Err(number),
        _ => Ok(number),
    }
}

/// Whether the breaker counts the error, which it has to ask.
fn counts(error: &u64) -> bool {
    error % 5 < 2
}

/// Calls once for each number. A call returns what it adds, or nothing if it is rejected.
async fn call_all(size: u64, call: impl AsyncFn(u64) -> Option<u64>) -> (u64, u64) {
    let (mut items, mut sum) = (0, 0);
    for number in 0..size {
        if let Some(result) = call(number).await {
            items += 1;
            sum += result;
        }
    }
    (items, sum)
}

async fn breaker(size: u64, fails: bool) -> (u64, u64) {
    let breaker = CircuitBreaker::new(THRESHOLD, HOUR, counts);
    let call = async |number| match breaker.call(|| answer(number, fails)).await {
        Ok(Ok(number)) => Some(number),
        Ok(Err(number)) => Some(2 * number),
        Err(_) => None,
    };
    call_all(size, call).await
}

// Ours knows calls that began before the circuit changed, and lets one probe pass
// where failsafe lets all of them pass.
async fn failsafe(
    policy: impl FailurePolicy + Send + Sync,
    size: u64,
    fails: bool,
) -> (u64, u64) {
    let breaker = failsafe::Config::new().failure_policy(policy).build();
    let call = async |number| match breaker.call_with(counts, answer(number, fails)).await
    {
        Ok(number) => Some(number),
        Err(failsafe::Error::Inner(number)) => Some(2 * number),
        Err(failsafe::Error::Rejected) => None,
    };
    call_all(size, call).await
}

/// Opens after failures in a row, as ours does.
fn in_a_row() -> impl FailurePolicy + Send + Sync {
    consecutive_failures(THRESHOLD, backoff::constant(HOUR))
}

/// What failsafe does when it is not told: it opens at a rate of failures as well, which
/// ours cannot.
fn by_default() -> impl FailurePolicy + Send + Sync {
    SuccessRateOverTimeWindow::default().or_else(ConsecutiveFailures::default())
}
