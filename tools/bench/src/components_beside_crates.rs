//! The components beside the crates that are made for the same.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::ops::DerefMut;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::managed;
use failsafe::backoff;
use failsafe::failure_policy::{
    self, ConsecutiveFailures, FailurePolicy, SuccessRateOverTimeWindow,
};
use failsafe::futures::CircuitBreaker as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::future::Cache;
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, yield_now};
use tokio::time::Instant;
use catalog::speed::Unit;

use crate::components::circuit_breaker::{CallError, CircuitBreaker, State};
use crate::components::connection_pool;
use crate::components::sliding_window::SlidingWindow;
use crate::components::token_bucket::TokenBucket;
use crate::components::ttl_cache::TtlCache;
use crate::measurement::{
    Measurement, Work, cpu_time, one_thread, ours, peer, runtime, threads, timed,
};

/// In the order of the table.
pub const ALL: &[Measurement] = &[
    Measurement {
        name: "token_bucket",
        title: "{n} tokens that are there, one thread",
        example: "real-world/token_bucket",
        unit: Unit::Seconds,
        size: 1_000_000,
        at_most: None,
        contestants: &[ours(bucket), peer("governor", governor, None)],
    },
    Measurement {
        name: "token_bucket_4",
        title: "{n} tokens that are there, four threads",
        example: "real-world/token_bucket",
        unit: Unit::Seconds,
        size: 400_000,
        at_most: None,
        contestants: &[ours(bucket_4), peer("governor", governor_4, None)],
    },
    Measurement {
        name: "sliding_window",
        title: "{n} calls that a strict limit lets through at once, one thread",
        example: "real-world/sliding_window",
        unit: Unit::Seconds,
        size: 1_000_000,
        at_most: None,
        contestants: &[ours(window), peer("governor", governor, Some(3.5))],
    },
    Measurement {
        name: "sliding_window_4",
        title: "{n} calls that a strict limit lets through at once, four threads",
        example: "real-world/sliding_window",
        unit: Unit::Seconds,
        size: 400_000,
        at_most: None,
        contestants: &[ours(window_4), peer("governor", governor_4, Some(1.5))],
    },
    Measurement {
        name: "limiter_waiting",
        title: "{n} callers wait for a limit of a tenth in 0.1 s: the processors' time",
        example: "real-world/sliding_window",
        unit: Unit::CpuSeconds,
        size: 2_000,
        at_most: None,
        contestants: &[
            ours(window_waiting),
            peer("governor", governor_waiting, Some(0.05)),
        ],
    },
    Measurement {
        name: "connection_pool",
        title: "A connection taken {n} times from a pool of 8, one task",
        example: "context-managers/connection_pool",
        unit: Unit::Seconds,
        size: 200_000,
        at_most: None,
        contestants: &[
            ours(pool),
            peer("deadpool", deadpool, Some(0.6)),
            peer("bb8", bb8, Some(0.6)),
        ],
    },
    Measurement {
        name: "connection_pool_contended",
        title: "A connection taken {n} times from a pool of 8, 32 tasks on four threads",
        example: "context-managers/connection_pool",
        unit: Unit::Seconds,
        size: 200_000,
        at_most: None,
        contestants: &[
            ours(pool_contended),
            peer("deadpool", deadpool_contended, Some(0.6)),
            peer("bb8", bb8_contended, Some(0.6)),
        ],
    },
    // Most of this is the switching of tasks. bb8 lets who comes take what was given back
    // before those who wait are awake; ours and deadpool serve in the order of asking.
    Measurement {
        name: "connection_pool_waiting",
        title: "The same, held over an await, so that most wait",
        example: "context-managers/connection_pool",
        unit: Unit::Seconds,
        size: 100_000,
        at_most: None,
        contestants: &[
            ours(pool_waiting),
            peer("deadpool", deadpool_waiting, None),
            peer("bb8", bb8_waiting, None),
        ],
    },
    Measurement {
        name: "ttl_cache",
        title: "{n} values of which nine in ten are in the cache, on one thread",
        example: "real-world/ttl_cache",
        unit: Unit::Seconds,
        size: 200_000,
        at_most: None,
        contestants: &[ours(cache), peer("moka", moka, Some(0.25))],
    },
    // Whoever spawns the task of a load wakes another thread, which finds nothing to do.
    Measurement {
        name: "ttl_cache_threads",
        title: "{n} values of which nine in ten are in the cache, on a thread for each core",
        example: "real-world/ttl_cache",
        unit: Unit::Seconds,
        size: 200_000,
        at_most: None,
        contestants: &[ours(cache_threads), peer("moka", moka_threads, None)],
    },
    Measurement {
        name: "circuit_breaker",
        title: "{n} calls through a circuit breaker, none of which fails",
        example: "error-handling/circuit_breaker",
        unit: Unit::Seconds,
        size: 2_000_000,
        at_most: None,
        contestants: &[
            ours(breaker),
            peer("failsafe", failsafe_by_default, Some(0.5)),
            peer("failsafe, counting in a row", failsafe, None),
        ],
    },
    Measurement {
        name: "circuit_breaker_failures",
        title: "{n} calls through a circuit breaker, of which two in five fail",
        example: "error-handling/circuit_breaker",
        unit: Unit::Seconds,
        size: 2_000_000,
        at_most: None,
        contestants: &[
            ours(breaker_failures),
            peer("failsafe, counting in a row", failsafe_failures, None),
        ],
    },
];

const HOUR: Duration = Duration::from_secs(3600);

/// What makes its callers wait. Both crates and components are shared by reference.
trait Limiter: Send + Sync + 'static {
    /// What a caller gets, of which the limit holds, if there is such a thing.
    type Moment: Send;

    fn acquire(&self) -> impl Future<Output = Self::Moment> + Send;
}

impl Limiter for TokenBucket {
    type Moment = Instant;

    async fn acquire(&self) -> Instant {
        self.acquire().await
    }
}

impl Limiter for SlidingWindow {
    type Moment = Instant;

    async fn acquire(&self) -> Instant {
        self.acquire().await
    }
}

impl Limiter for DefaultDirectRateLimiter {
    type Moment = ();

    async fn acquire(&self) {
        self.until_ready().await;
    }
}

/// With the moment at which the caller goes on.
struct Seen(DefaultDirectRateLimiter);

impl Limiter for Seen {
    type Moment = Instant;

    async fn acquire(&self) -> Instant {
        self.0.until_ready().await;
        Instant::now()
    }
}

/// So many tasks share the numbers below `size`, and acquire once for each. Returns the
/// moments in no order, and the sum of the numbers.
async fn acquire_all<L: Limiter>(
    limiter: L,
    tasks: u64,
    size: u64,
) -> Vec<(Vec<L::Moment>, u64)> {
    let limiter = Arc::new(limiter);
    let mut set = JoinSet::new();
    for first in 0..tasks {
        let limiter = Arc::clone(&limiter);
        set.spawn(async move {
            let mut moments = Vec::with_capacity(size.div_ceil(tasks) as usize);
            let mut sum = 0;
            for number in (first..size).step_by(tasks as usize) {
                moments.push(limiter.acquire().await);
                sum += number;
            }
            (moments, sum)
        });
    }
    set.join_all().await
}

/// All moments in order, and the sum of the numbers.
fn joined<T: Ord>(parts: Vec<(Vec<T>, u64)>) -> (Vec<T>, u64) {
    let sum = parts.iter().map(|(_, sum)| sum).sum();
    let moments = parts.into_iter().flat_map(|(moments, _)| moments);
    let mut moments: Vec<T> = moments.collect();
    moments.sort();
    (moments, sum)
}

/// How many of the moments, which are in order, the fullest window holds.
fn most_in(window: Duration, moments: &[Instant]) -> usize {
    let mut first = 0;
    let counts = moments.iter().enumerate().map(|(last, moment)| {
        while *moment >= moments[first] + window {
            first += 1;
        }
        last + 1 - first
    });
    counts.max().unwrap_or_default()
}

/// So many may come at once.
const BURST: u32 = 1000;

/// One more may come after so long, which is less than any of the calls takes: nobody
/// has to wait.
const INTERVAL: Duration = Duration::from_nanos(1);

fn limited<L: Limiter>(runtime: Runtime, limiter: L, tasks: u64, size: u64) -> Work
where
    L::Moment: Ord,
{
    let all = acquire_all(limiter, tasks, size);
    let (time, parts) = runtime.block_on(timed(all));
    let (moments, sum) = joined(parts);
    Work::timed(time, moments.len() as u64, sum)
}

fn new_governor(interval: Duration, burst: u32) -> DefaultDirectRateLimiter {
    let quota = Quota::with_period(interval).expect("it is not zero");
    let burst = NonZeroU32::new(burst).expect("it is not zero");
    RateLimiter::direct(quota.allow_burst(burst))
}

fn bucket(size: u64) -> Work {
    limited(one_thread(), TokenBucket::new(BURST, INTERVAL), 1, size)
}

fn bucket_4(size: u64) -> Work {
    limited(threads(4), TokenBucket::new(BURST, INTERVAL), 4, size)
}

// governor keeps one number, changed without a lock, and does not tell the moment. Ours
// serves in the order of asking, and yields to other tasks when it was called often.
fn governor(size: u64) -> Work {
    limited(one_thread(), new_governor(INTERVAL, BURST), 1, size)
}

fn governor_4(size: u64) -> Work {
    limited(threads(4), new_governor(INTERVAL, BURST), 4, size)
}

// Ours keeps the moments of as many calls as the limit, which governor does not need for
// its weaker promise: see `governor_waiting`.
fn windowed(runtime: Runtime, tasks: u64, size: u64) -> Work {
    let length = INTERVAL * BURST;
    let limiter = SlidingWindow::new(BURST as usize, length);
    let all = acquire_all(limiter, tasks, size);
    let (time, parts) = runtime.block_on(timed(all));
    let (moments, sum) = joined(parts);
    assert!(most_in(length, &moments) <= BURST as usize, "a window");
    Work::timed(time, moments.len() as u64, sum)
}

fn window(size: u64) -> Work {
    windowed(one_thread(), 1, size)
}

fn window_4(size: u64) -> Work {
    windowed(threads(4), 4, size)
}

const WINDOW: Duration = Duration::from_millis(100);

/// The limit for that window, if ten of them are to be enough for all.
fn limit(size: u64) -> u32 {
    u32::try_from(size / 10).map_or(u32::MAX, |limit| limit.max(1))
}

/// Each of the callers is a task, and acquires once.
fn waiting(limiter: impl Limiter<Moment = Instant>, size: u64) -> (Work, usize) {
    let runtime = runtime();
    let before = cpu_time();
    let parts = runtime.block_on(acquire_all(limiter, size, size));
    let time = cpu_time() - before;
    let (moments, sum) = joined(parts);
    let work = Work::timed(time, moments.len() as u64, sum);
    (work, most_in(WINDOW, &moments))
}

fn window_waiting(size: u64) -> Work {
    let limit = limit(size);
    let limiter = SlidingWindow::new(limit as usize, WINDOW);
    let (work, most) = waiting(limiter, size);
    assert!(most <= limit as usize, "{most} in one window");
    work
}

// governor is a token bucket: the first window holds nearly twice the limit, the burst
// and what comes until its end. Its waiters all try again when the next token comes.
fn governor_waiting(size: u64) -> Work {
    let limit = limit(size);
    let limiter = Seen(new_governor(WINDOW / limit, limit));
    let (work, most) = waiting(limiter, size);
    assert!(most > limit as usize, "governor has become strict");
    work
}

/// Opens what costs nothing, and counts how often it was used.
struct Manager;

/// No number of uses.
const BROKEN: u64 = u64::MAX;

const POOL_SIZE: usize = 8;

trait Pool: Clone + Send + Sync + 'static {
    type Held<'a>: DerefMut<Target = u64> + Send;

    fn acquire(&self) -> impl Future<Output = Self::Held<'_>> + Send;
}

/// So many tasks share the numbers below `size`, and use a connection for each.
async fn use_all<P: Pool>(pool: P, tasks: u64, size: u64, hold: bool) -> Work {
    let all = async {
        let mut set = JoinSet::new();
        for first in 0..tasks {
            let pool = pool.clone();
            set.spawn(async move {
                for _ in (first..size).step_by(tasks as usize) {
                    let mut uses = pool.acquire().await;
                    *uses += 1;
                    if hold {
                        yield_now().await;
                    }
                }
            });
        }
        set.join_all().await
    };
    let (time, _) = timed(all).await;
    let mut held = Vec::new();
    for _ in 0..POOL_SIZE {
        held.push(pool.acquire().await);
    }
    let items = held.iter().map(|uses| **uses).sum();
    Work::timed(time, items, items)
}

impl connection_pool::Manager for Manager {
    type Connection = u64;
    type Error = Infallible;

    async fn open(&self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn is_broken(&self, uses: &u64) -> bool {
        *uses == BROKEN
    }
}

impl Pool for connection_pool::Pool<Manager> {
    type Held<'a> = connection_pool::Pooled<Manager>;

    async fn acquire(&self) -> Self::Held<'_> {
        self.acquire().await.expect("an hour is enough")
    }
}

fn new_pool() -> connection_pool::Pool<Manager> {
    connection_pool::Pool::new(Manager, POOL_SIZE, HOUR)
}

fn pool(size: u64) -> Work {
    one_thread().block_on(use_all(new_pool(), 1, size, false))
}

fn pool_contended(size: u64) -> Work {
    threads(4).block_on(use_all(new_pool(), 32, size, false))
}

fn pool_waiting(size: u64) -> Work {
    threads(4).block_on(use_all(new_pool(), 32, size, true))
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

impl Pool for managed::Pool<Manager> {
    type Held<'a> = managed::Object<Manager>;

    async fn acquire(&self) -> Self::Held<'_> {
        self.get().await.expect("an hour is enough")
    }
}

// deadpool has a limit of time for each step, where ours has one for all of them, and
// keeps figures of each connection. `close` of ours waits until all are given back.
fn new_deadpool() -> managed::Pool<Manager> {
    let builder = managed::Pool::builder(Manager).max_size(POOL_SIZE);
    let builder = builder.runtime(deadpool::Runtime::Tokio1);
    let builder = builder.wait_timeout(Some(HOUR)).create_timeout(Some(HOUR));
    let builder = builder.recycle_timeout(Some(HOUR));
    builder.build().expect("it has a runtime for the limits")
}

fn deadpool(size: u64) -> Work {
    one_thread().block_on(use_all(new_deadpool(), 1, size, false))
}

fn deadpool_contended(size: u64) -> Work {
    threads(4).block_on(use_all(new_deadpool(), 32, size, false))
}

fn deadpool_waiting(size: u64) -> Work {
    threads(4).block_on(use_all(new_deadpool(), 32, size, true))
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

impl Pool for bb8::Pool<Manager> {
    type Held<'a> = bb8::PooledConnection<'a, Manager>;

    async fn acquire(&self) -> Self::Held<'_> {
        self.get().await.expect("an hour is enough")
    }
}

// bb8 looks at each connection when it is taken and when it is given back, counts what
// it does, and renews what is old, which ours does not. Its limit of time is for all
// steps, as that of ours.
async fn new_bb8() -> bb8::Pool<Manager> {
    let builder = bb8::Pool::builder().max_size(POOL_SIZE as u32);
    let built = builder.connection_timeout(HOUR).build(Manager).await;
    built.expect("nothing fails")
}

fn bb8(size: u64) -> Work {
    one_thread().block_on(async { use_all(new_bb8().await, 1, size, false).await })
}

fn bb8_contended(size: u64) -> Work {
    threads(4).block_on(async { use_all(new_bb8().await, 32, size, false).await })
}

fn bb8_waiting(size: u64) -> Work {
    threads(4).block_on(async { use_all(new_bb8().await, 32, size, true).await })
}

/// How many entries fit.
const CAPACITY: usize = 5_000;

/// How many keys there are, and how many of them are asked for most.
const KEYS: u64 = 10_000;
const HOT: u64 = 2_000;

/// Always the same numbers, as if by chance: 85 of 100 are asked for most, the others are
/// from among the rest, of which a part is in the cache. (The generator is SplitMix64.)
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

/// What is loaded, and counts how often.
async fn load(key: u64, loads: Arc<AtomicU64>) -> Result<u64, Infallible> {
    loads.fetch_add(1, Ordering::Relaxed);
    Ok(3 * key)
}

/// Asks the cache for the value of each key, in a task.
fn look_up<G>(
    runtime: Runtime,
    size: u64,
    get: impl Fn(u64, Arc<AtomicU64>) -> G + Send + Sync + 'static,
) -> Work
where
    G: Future<Output = u64> + Send,
{
    let task = async move {
        let loads = Arc::default();
        // What the cache needs to be full is not measured.
        let filled = 4 * KEYS;
        let mut keys = keys(filled + size);
        for key in keys.by_ref().take(filled as usize) {
            assert_eq!(get(key, Arc::clone(&loads)).await, 3 * key);
        }
        loads.store(0, Ordering::Relaxed);
        let all = async {
            let (mut items, mut sum) = (0, 0);
            for key in keys {
                items += 1;
                sum += get(key, Arc::clone(&loads)).await;
            }
            (items, sum)
        };
        let (time, (items, sum)) = timed(all).await;
        let missed = loads.load(Ordering::Relaxed) as f64 / items as f64;
        assert!((0.05..0.15).contains(&missed), "{missed} of the values");
        Work::timed(time, items, sum)
    };
    let task = runtime.spawn(task);
    runtime.block_on(task).expect("it does not panic")
}

fn cache_on(runtime: Runtime, size: u64) -> Work {
    let cache = TtlCache::new(CAPACITY, HOUR);
    look_up(runtime, size, move |key, loads| {
        let cache = cache.clone();
        async move {
            let value = cache.get_or_load(key, load(key, loads)).await;
            value.expect("nothing fails")
        }
    })
}

fn cache(size: u64) -> Work {
    cache_on(one_thread(), size)
}

fn cache_threads(size: u64) -> Work {
    cache_on(runtime(), size)
}

// moka keeps what is asked for often, ours what was asked for last; their numbers of
// hits are nearly the same. A load of moka's runs in who asks, one of ours in a task, so
// that it survives him. moka drops what expires when it is used the next time, ours by
// itself.
fn moka_on(runtime: Runtime, size: u64) -> Work {
    let builder = Cache::builder().max_capacity(CAPACITY as u64);
    let cache = builder.time_to_live(HOUR).build();
    look_up(runtime, size, move |key, loads| {
        let cache = cache.clone();
        async move {
            let value = cache.try_get_with(key, load(key, loads)).await;
            value.expect("nothing fails")
        }
    })
}

fn moka(size: u64) -> Work {
    moka_on(one_thread(), size)
}

fn moka_threads(size: u64) -> Work {
    moka_on(runtime(), size)
}

/// How many failures in a row open the circuit: one more than there are.
const THRESHOLD: u32 = 3;

/// An answer at once, or a failure.
async fn answer(number: u64, fails: bool) -> Result<u64, u64> {
    match number % 5 {
        0 | 1 if fails => Err(number),
        _ => Ok(number),
    }
}

/// Not all errors count, as far as the breaker knows.
fn counts(error: &u64) -> bool {
    error % 5 < 2
}

fn breaker_calls(size: u64, fails: bool) -> Work {
    one_thread().block_on(async {
        let breaker = CircuitBreaker::new(THRESHOLD, HOUR, counts);
        let all = async {
            let (mut items, mut sum) = (0, 0);
            for number in 0..size {
                let result = breaker.call(answer(number, fails)).await;
                sum += match result {
                    Ok(number) => number,
                    Err(CallError::Failed(number)) => 2 * number,
                    Err(CallError::Rejected(_)) => continue,
                };
                items += 1;
            }
            (items, sum)
        };
        let (time, (items, sum)) = timed(all).await;
        assert_eq!(breaker.state(), State::Closed);
        Work::timed(time, items, sum)
    })
}

fn breaker(size: u64) -> Work {
    breaker_calls(size, false)
}

fn breaker_failures(size: u64) -> Work {
    breaker_calls(size, true)
}

// failsafe is told to open after failures in a row, as ours does. Ours knows calls that
// began before a change, and lets one trial pass where failsafe lets all.
fn failsafe_calls<P>(policy: P, size: u64, fails: bool) -> Work
where
    P: FailurePolicy + Send + Sync,
{
    one_thread().block_on(async {
        let breaker = failsafe::Config::new().failure_policy(policy).build();
        let all = async {
            let (mut items, mut sum) = (0, 0);
            for number in 0..size {
                let result = breaker.call_with(counts, answer(number, fails)).await;
                sum += match result {
                    Ok(number) => number,
                    Err(failsafe::Error::Inner(number)) => 2 * number,
                    Err(failsafe::Error::Rejected) => continue,
                };
                items += 1;
            }
            (items, sum)
        };
        let (time, (items, sum)) = timed(all).await;
        assert!(breaker.is_call_permitted());
        Work::timed(time, items, sum)
    })
}

fn in_a_row() -> impl FailurePolicy + Send + Sync {
    failure_policy::consecutive_failures(THRESHOLD, backoff::constant(HOUR))
}

fn failsafe(size: u64) -> Work {
    failsafe_calls(in_a_row(), size, false)
}

fn failsafe_failures(size: u64) -> Work {
    failsafe_calls(in_a_row(), size, true)
}

// What it does without being told: it opens at a rate of failures over a time, too, which
// ours cannot.
fn failsafe_by_default(size: u64) -> Work {
    let in_a_row = ConsecutiveFailures::default();
    let policy = SuccessRateOverTimeWindow::default().or_else(in_a_row);
    failsafe_calls(policy, size, false)
}
