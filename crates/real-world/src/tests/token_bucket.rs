use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use futures::future::join_all;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

use super::limiters::{
    Limiter, assert_linear_in_waiters, assert_loses_no_time, callers, in_a_struct,
    moments, most_polls,
};
use super::support::poll_and_drop;
use crate::token_bucket::{InsufficientCapacity, RetryAfter, TokenBucket};

const TICK: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

impl Limiter for TokenBucket {
    async fn pass(&self) -> Instant {
        self.acquire().await
    }
}

/// Whether between any two calls there is time for those that are no burst.
fn assert_within(stamps: &[Instant], burst: u32, interval: Duration) {
    // When the first call would have been, were they all an interval apart. It may
    // come earlier again by a burst and no more.
    let mut latest = stamps[0];
    for (stamp, before) in stamps.iter().zip(0..) {
        let first = *stamp + interval * (burst - 1);
        assert!(first >= latest + interval * before, "too many at {before}");
        latest = latest.max(*stamp - (interval * before).min(*stamp - stamps[0]));
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    for (before, behind) in [(1, 0), (1, 3), (2, 3), (4, 0), (4, 2)] {
        let mut completed = false;
        for polls in 1..25 {
            let bucket = TokenBucket::new(1, 5 * TICK);
            let start = Instant::now();
            let line = |callers| join_all((0..callers).map(|_| bucket.acquire()));
            let leaves = poll_and_drop(bucket.acquire(), polls);
            let all = async { tokio::join!(biased; line(before), leaves, line(behind)) };
            let all = timeout(HOUR, all).await.expect("nobody hangs");
            completed |= all.1.is_some();
            let stamps = all.0.into_iter().chain(all.1).chain(all.2);
            for (stamp, number) in stamps.zip(0..) {
                assert_eq!(stamp - start, number * 5 * TICK, "{before} {polls}");
            }
        }
        assert!(completed, "25 polls are enough");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    let interval = Duration::from_micros(50);
    let bucket = TokenBucket::new(1000, interval);
    let stamps = callers(bucket, 10_000, |number| number % 3 == 0).await;
    assert!(stamps.len() > 5000);
    assert_within(&stamps, 1000, interval);
}

/// Until a round is in time, as on the real clock all may be late.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_of_whom_few_stay_lose_no_time() {
    let interval = Duration::from_millis(50);
    let late = async || {
        let bucket = TokenBucket::new(3, interval);
        let stamps = callers(bucket, 1000, |number| number % 200 != 0).await;
        assert_within(&stamps, 3, interval);
        let took = *stamps.last().expect("some stay") - stamps[0];
        took.saturating_sub(interval * (stamps.len() as u32 - 3))
    };
    assert_loses_no_time(late, interval).await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_are_exact() {
    for burst in [1, 2, 10] {
        let bucket = TokenBucket::new(burst, TICK);
        let stamps = callers(bucket, 1000, |number| number % 3 == 0).await;
        assert_within(&stamps, burst, TICK);
        let took = *stamps.last().expect("some stay") - stamps[0];
        assert_eq!(took, TICK * (stamps.len() as u32 - burst));
    }
}

#[tokio::test(start_paused = true)]
async fn callers_that_come_now_and_then() {
    // Pauses for less than a token, for one, and for more than fit.
    let pauses = [
        0, 4, 11, 0, 30, 0, 0, 0, 0, 55, 1, 2, 3, 9, 10, 10, 0, 7, 100, 0,
    ];
    // From a count of tokens by hand.
    let expected = [
        0, 4, 15, 15, 45, 45, 45, 55, 65, 120, 121, 123, 130, 140, 150, 160, 170, 180,
        280, 280,
    ];
    let moments = moments(TokenBucket::new(3, 10 * TICK), &pauses).await;
    assert_eq!(moments, expected);
}

#[tokio::test(start_paused = true)]
async fn nineteen_of_ten_in_one_second() {
    let second = Duration::from_secs(1);
    let bucket = TokenBucket::new(10, second / 10);
    let start = Instant::now();
    let stamps = join_all((0..30).map(|_| bucket.acquire())).await;
    let within = stamps.iter().filter(|stamp| **stamp - start < second);
    assert_eq!(within.count(), 19);
}

#[tokio::test(start_paused = true)]
async fn in_the_order_of_asking() {
    let bucket = Arc::new(TokenBucket::new(2, TICK));
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut set = JoinSet::new();
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let (bucket, order) = (Arc::clone(&bucket), Arc::clone(&order));
            set.spawn(async move {
                let _ = bucket.acquire_many(number % 3).await;
                order.lock().expect("nobody panics").push(number);
            })
        })
        .collect();
    // Those at the front and in the middle leave.
    for (number, task) in tasks.iter().enumerate() {
        if number % 7 == 0 {
            sleep(TICK).await;
            task.abort();
        }
    }
    while set.join_next().await.is_some() {}
    let order = order.lock().expect("nobody panics");
    assert!(order.is_sorted() && order.len() > 80, "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn not_woken_while_others_wait() {
    // Into the line, to its front, and when the token is there.
    assert!(most_polls(TokenBucket::new(1, HOUR)).await <= Some(3));
}

#[tokio::test(start_paused = true)]
async fn kept_without_being_polled() {
    let bucket = TokenBucket::new(1, TICK);
    bucket.acquire().await;
    let mut kept = Box::pin(bucket.acquire());
    assert!(futures::poll!(kept.as_mut()).is_pending());
    assert!(timeout(HOUR, bucket.acquire()).await.is_err());
    drop(kept);
    assert!(timeout(TICK, bucket.acquire()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn without_waiting_it_is_told_when_a_token_comes() {
    for burst in [1, 2, 31] {
        let bucket = TokenBucket::new(burst, 10 * TICK);
        for _ in 0..burst {
            assert_eq!(bucket.try_acquire(), Ok(Instant::now()));
        }
        for (left, later) in [(10, 3), (7, 6), (1, 1)] {
            assert_eq!(bucket.try_acquire(), Err(RetryAfter(left * TICK)));
            sleep(later * TICK).await;
        }
        assert_eq!(bucket.try_acquire(), Ok(Instant::now()));
    }
    // It does not overtake a caller that waits, also when the token is there.
    let bucket = TokenBucket::new(1, 10 * TICK);
    bucket.acquire().await;
    let mut waits = Box::pin(bucket.acquire());
    assert!(futures::poll!(waits.as_mut()).is_pending());
    sleep(20 * TICK).await;
    assert_eq!(bucket.try_acquire(), Err(RetryAfter(10 * TICK)));
    waits.await;
    assert!(bucket.try_acquire().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_more_get_through_without_waiting() {
    let bucket = Arc::new(TokenBucket::new(100, HOUR));
    let tries = (0..1_000).map(|_| {
        let bucket = Arc::clone(&bucket);
        tokio::spawn(async move { u32::from(bucket.try_acquire().is_ok()) })
    });
    let passed = join_all(tries)
        .await
        .into_iter()
        .map(|it| it.expect("no panic"));
    assert_eq!(
        passed.sum::<u32>(),
        100,
        "no fewer, though they meet at the lock"
    );
}

#[tokio::test(start_paused = true)]
async fn finer_than_the_timers() {
    for (burst, calls, ticks) in [(1, 11, 10), (8, 18, 3)] {
        let bucket = TokenBucket::new(burst, Duration::from_micros(300));
        let start = Instant::now();
        let stamps = join_all((0..calls).map(|_| bucket.acquire())).await;
        assert_eq!(stamps[calls - 1] - start, ticks * TICK);
    }
}

#[tokio::test(start_paused = true)]
async fn limits() {
    let refused = |burst, interval| {
        std::panic::catch_unwind(|| TokenBucket::new(burst, interval)).is_err()
    };
    assert!(refused(0, TICK));
    assert!(refused(1, Duration::ZERO));
    assert!(refused(2, Duration::MAX));

    let bucket = TokenBucket::new(2, TICK);
    let start = Instant::now();
    assert_eq!(bucket.acquire_many(2).await, Ok(start));
    assert_eq!(bucket.acquire_many(0).await, Ok(start));
    let (tokens, burst) = (3, 2);
    let error = bucket.acquire_many(tokens).await;
    assert_eq!(error, Err(InsufficientCapacity { tokens, burst }));
    assert_eq!(bucket.acquire().await, start + TICK);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_first_in_line() {
    let bucket = Arc::new(TokenBucket::new(1, TICK));
    bucket.acquire().await;
    let first = Arc::clone(&bucket);
    let first = tokio::spawn(async move {
        let mut acquire = pin!(first.acquire());
        assert!(futures::poll!(acquire.as_mut()).is_pending());
        yield_now().await;
        panic!("scheduled");
    });
    yield_now().await;
    let second = timeout(TICK, bucket.acquire());
    assert!(second.await.is_ok());
    assert!(first.await.is_err_and(|error| error.is_panic()));
}

#[tokio::test(start_paused = true)]
async fn in_a_struct_in_a_task() {
    assert_eq!(in_a_struct(TokenBucket::new(1, TICK)).await, 5 * TICK);
}

#[test]
fn in_a_static_over_two_runtimes() {
    static BUCKET: LazyLock<TokenBucket> = LazyLock::new(|| {
        let tenth = Duration::from_millis(100);
        TokenBucket::new(1, tenth)
    });
    let runtime = || Builder::new_current_thread().enable_all().build();
    let first = runtime().expect("there are threads");
    first.block_on(async {
        let first = BUCKET.acquire().await;
        tokio::spawn(BUCKET.acquire());
        yield_now().await;
        assert!(first <= Instant::now());
    });
    // The second was first in line.
    drop(first);
    let second = runtime().expect("there are threads");
    let third = second.block_on(async { timeout(HOUR, BUCKET.acquire()).await });
    assert!(third.is_ok());
}

#[test]
fn ten_times_as_many_that_wait_cost_ten_times_as_much() {
    assert_linear_in_waiters(|_| TokenBucket::new(1, TICK));
    assert_linear_in_waiters(|number| TokenBucket::new(number, HOUR));
}

/// Two threads call at the same moment, each time on a new limiter for two.
#[test]
fn governor_two_threads_at_the_same_moment_both_get_through() {
    let limiters: Vec<_> = (0..20_000).map(|_| TokenBucket::new(2, HOUR)).collect();
    let turn = AtomicUsize::new(0);
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for (round, limiter) in limiters.iter().enumerate() {
                    turn.fetch_add(1, SeqCst);
                    while turn.load(SeqCst) < 2 * (round + 1) {
                        std::thread::yield_now();
                    }
                    if limiter.try_acquire().is_err() {
                        refused.fetch_add(1, SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(refused.load(SeqCst), 0);
}

#[test]
fn governor_two_threads_far_below_the_quota_are_never_refused() {
    let limiter = &TokenBucket::new(1_000_000_001, Duration::from_nanos(1));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..100_000 {
                    assert!(limiter.try_acquire().is_ok());
                }
            });
        }
    });
}

#[test]
fn go_rate_of_fifteen_threads_exactly_the_burst_gets_through() {
    for _ in 0..300 {
        let limiter = &TokenBucket::new(5, HOUR);
        let barrier = &std::sync::Barrier::new(15);
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..15)
                .map(|_| {
                    scope.spawn(move || {
                        barrier.wait();
                        usize::from(limiter.try_acquire().is_ok())
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|it| it.join().expect("no panic"))
                .sum()
        });
        assert_eq!(passed, 5);
    }
}

/// Callers that wait next to callers that do not: never more than the limit, and nobody is
/// left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn limits_waiters_beside_others_on_threads_keep_to_the_rate() {
    let limiter = Arc::new(TokenBucket::new(10, Duration::from_millis(3)));
    let stamps = Arc::new(std::sync::Mutex::new(Vec::new()));
    let tasks = (0..16_u64).map(|task| {
        let (limiter, stamps) = (Arc::clone(&limiter), Arc::clone(&stamps));
        tokio::spawn(async move {
            for call in 0..12_u64 {
                let limit = Duration::from_millis((task + call) % 20);
                let stamp = match (task + call) % 3 {
                    0 => limiter.try_acquire().ok(),
                    1 => timeout(limit, limiter.acquire()).await.ok(),
                    _ => Some(limiter.acquire().await),
                };
                stamps.lock().expect("no panic").extend(stamp);
            }
        })
    });
    let all = timeout(HOUR / 60, join_all(tasks))
        .await
        .expect("nobody hangs");
    assert!(all.iter().all(Result::is_ok));
    let mut stamps = stamps.lock().expect("no panic").clone();
    stamps.sort();
    assert!(stamps.len() > 60);
    assert_within(&stamps, 10, Duration::from_millis(3));
    // No waiter is left: whoever comes now needs no turn.
    sleep(Duration::from_secs(1)).await;
    assert!(limiter.try_acquire().is_ok());
}

/// How many of these calls get a token.
fn taken(bucket: &TokenBucket, calls: u32) -> u32 {
    (0..calls)
        .map(|_| u32::from(bucket.try_acquire().is_ok()))
        .sum()
}

#[tokio::test(start_paused = true)]
async fn go_rate_bursts_of_one_and_of_three() {
    let bucket = TokenBucket::new(1, 100 * TICK);
    for _ in 0..3 {
        assert_eq!(taken(&bucket, 3), 1);
        sleep(100 * TICK).await;
    }
    let bucket = TokenBucket::new(3, 100 * TICK);
    assert_eq!(taken(&bucket, 4), 3);
    sleep(200 * TICK).await;
    assert_eq!(taken(&bucket, 3), 2);
    sleep(700 * TICK).await;
    assert_eq!(taken(&bucket, 4), 3);
}

#[tokio::test(start_paused = true)]
async fn go_rate_the_rate_in_the_long_run() {
    let bucket = TokenBucket::new(100, 10 * TICK);
    let mut passed = 0;
    for _ in 0..2_500 {
        passed += taken(&bucket, 1);
        sleep(2 * TICK).await;
    }
    assert!((599..=601).contains(&passed), "{passed}");
}

#[tokio::test(start_paused = true)]
async fn go_rate_a_cancelled_wait_gives_its_tokens_back() {
    let bucket = TokenBucket::new(2, 100 * TICK);
    bucket.acquire_many(2).await.expect("they fit");
    assert!(timeout(10 * TICK, bucket.acquire_many(2)).await.is_err());
    let start = Instant::now();
    bucket.acquire_many(2).await.expect("they fit");
    assert_eq!(start.elapsed(), 190 * TICK);
}

#[tokio::test(start_paused = true)]
async fn go_rate_a_deadline_too_short_for_the_wait_does_not_fail_early_differs() {
    let bucket = TokenBucket::new(1, 100 * TICK);
    bucket.acquire().await;
    let start = Instant::now();
    assert!(timeout(50 * TICK, bucket.acquire()).await.is_err());
    assert_eq!(start.elapsed(), 50 * TICK);
}

#[tokio::test(start_paused = true)]
async fn governor_no_more_than_the_burst_after_a_long_pause() {
    let bucket = TokenBucket::new(5, 200 * TICK);
    for _ in 0..3 {
        assert_eq!(taken(&bucket, 9), 5);
        sleep(2_000 * TICK).await;
    }
}

#[tokio::test(start_paused = true)]
async fn governor_whoever_waits_as_long_as_told_gets_through() {
    let bucket = TokenBucket::new(5, 200 * TICK);
    for _ in 0..20 {
        sleep(TICK).await;
        if let Err(RetryAfter(wait)) = bucket.try_acquire() {
            sleep(wait).await;
            assert!(bucket.try_acquire().is_ok());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn aiolimiter_five_together_then_one_each_interval() {
    let bucket = TokenBucket::new(5, Duration::from_secs(2));
    let start = Instant::now();
    let stamps = join_all((0..10).map(|_| bucket.acquire())).await;
    let seconds: Vec<u64> = stamps.iter().map(|it| (*it - start).as_secs()).collect();
    assert_eq!(seconds, [0, 0, 0, 0, 0, 2, 4, 6, 8, 10]);
}

#[tokio::test(start_paused = true)]
async fn aiolimiter_a_smaller_amount_waits_behind_a_larger_one_differs() {
    let bucket = TokenBucket::new(3, 1_000 * TICK);
    bucket.acquire().await;
    let start = Instant::now();
    let (_, one) = tokio::join!(bucket.acquire_many(3), bucket.acquire());
    assert_eq!(one - start, 2_000 * TICK);
}

#[tokio::test(start_paused = true)]
async fn aiolimiter_a_cancelled_waiter_does_not_delay_the_next() {
    let bucket = TokenBucket::new(3, 1_000 * TICK);
    bucket.acquire().await;
    let start = Instant::now();
    let gives_up = timeout(TICK, bucket.acquire_many(3));
    let (gave_up, next) = tokio::join!(gives_up, bucket.acquire_many(3));
    assert!(gave_up.is_err());
    assert_eq!(next.map(|stamp| stamp - start), Ok(1_000 * TICK));
}

#[tokio::test(start_paused = true)]
async fn leaky_bucket_without_waiting_nobody_is_overtaken() {
    let bucket = TokenBucket::new(1, 100 * TICK);
    bucket.acquire().await;
    let mut waits = Box::pin(bucket.acquire());
    assert!(futures::poll!(waits.as_mut()).is_pending());
    sleep(500 * TICK).await;
    assert!(bucket.try_acquire().is_err());
    drop(waits);
    assert!(bucket.try_acquire().is_ok());
}

#[tokio::test(start_paused = true)]
async fn leaky_bucket_dropping_a_giant_waiter_lets_the_others_go() {
    let bucket = TokenBucket::new(100, 5 * TICK);
    bucket.acquire_many(100).await.expect("they fit");
    let start = Instant::now();
    let giant = timeout(400 * TICK, bucket.acquire_many(100));
    let others = join_all((0..10).map(|_| bucket.acquire()));
    let (giant, others) = tokio::join!(biased; giant, others);
    assert!(giant.is_err());
    assert!(others.iter().all(|stamp| *stamp - start == 400 * TICK));
}

#[tokio::test(start_paused = true)]
async fn pyrate_a_refusal_takes_nothing() {
    let bucket = TokenBucket::new(1, 100 * TICK);
    bucket.acquire().await;
    assert_eq!(taken(&bucket, 100), 0);
    sleep(100 * TICK).await;
    assert_eq!(taken(&bucket, 2), 1);
}
