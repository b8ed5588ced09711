use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use futures::future::join_all;
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

use super::limiters::{
    Limiter, assert_in_order, assert_linear_in_waiters, assert_windows_are_exact,
    assert_windows_on_threads, in_a_struct, most_polls,
};
use super::support::poll_and_drop;
use crate::sliding_window::{RetryAfter, SlidingWindow};

const TICK: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

impl Limiter for SlidingWindow {
    async fn pass(&self) -> Instant {
        self.acquire().await
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    for (before, behind) in [(1, 0), (1, 3), (2, 3), (4, 0), (4, 2)] {
        for limit in 1..3 {
            let mut completed = false;
            for polls in 1..25 {
                let limiter = SlidingWindow::new(limit, 5 * TICK);
                let start = Instant::now();
                let line = |callers| join_all((0..callers).map(|_| limiter.acquire()));
                let leaves = poll_and_drop(limiter.acquire(), polls);
                let all =
                    async { tokio::join!(biased; line(before), leaves, line(behind)) };
                let all = timeout(HOUR, all).await.expect("nobody hangs");
                completed |= all.1.is_some();
                let stamps = all.0.into_iter().chain(all.1).chain(all.2);
                for (stamp, number) in stamps.zip(0..) {
                    let window = number / limit as u32;
                    assert_eq!(stamp - start, window * 5 * TICK, "{before} {polls}");
                }
            }
            assert!(completed, "25 polls are enough");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_waiting_it_is_told_when_a_call_fits() {
    for limit in [1, 2, 31] {
        let limiter = SlidingWindow::new(limit, 10 * TICK);
        for _ in 0..limit {
            assert_eq!(limiter.try_acquire(), Ok(Instant::now()));
        }
        for (left, later) in [(10, 3), (7, 6), (1, 1)] {
            assert_eq!(limiter.try_acquire(), Err(RetryAfter(left * TICK)));
            sleep(later * TICK).await;
        }
        for _ in 0..limit {
            assert_eq!(limiter.try_acquire(), Ok(Instant::now()));
        }
    }
    // It does not overtake a caller that waits, also when there is room.
    let limiter = SlidingWindow::new(1, 10 * TICK);
    limiter.acquire().await;
    let mut waits = Box::pin(limiter.acquire());
    assert!(futures::poll!(waits.as_mut()).is_pending());
    sleep(20 * TICK).await;
    assert_eq!(limiter.try_acquire(), Err(RetryAfter(10 * TICK)));
    waits.await;
    assert!(limiter.try_acquire().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_more_get_through_without_waiting() {
    let limiter = Arc::new(SlidingWindow::new(100, HOUR));
    let tries = (0..1_000).map(|_| {
        let limiter = Arc::clone(&limiter);
        tokio::spawn(async move { u32::from(limiter.try_acquire().is_ok()) })
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_on_threads_keep_to_the_window() {
    assert_windows_on_threads(SlidingWindow::new).await;
}

#[tokio::test(start_paused = true)]
async fn many_are_exact() {
    assert_windows_are_exact(SlidingWindow::new).await;
}

#[tokio::test(start_paused = true)]
async fn in_the_order_of_asking() {
    assert_in_order(SlidingWindow::new(2, TICK)).await;
}

#[tokio::test(start_paused = true)]
async fn not_woken_while_others_wait() {
    // Into the line, to its front, and when the window has room.
    assert!(most_polls(SlidingWindow::new(1, HOUR)).await <= Some(3));
}

#[tokio::test(start_paused = true)]
async fn limits() {
    let refused = |limit, window| {
        std::panic::catch_unwind(|| SlidingWindow::new(limit, window)).is_err()
    };
    assert!(refused(0, TICK));
    assert!(refused(1, Duration::ZERO));
    assert!(refused(1, Duration::MAX));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_first_in_line() {
    let limiter = Arc::new(SlidingWindow::new(1, TICK));
    let _ = limiter.acquire().await;
    let first = Arc::clone(&limiter);
    let first = tokio::spawn(async move {
        let mut acquire = pin!(first.acquire());
        assert!(futures::poll!(acquire.as_mut()).is_pending());
        yield_now().await;
        panic!("scheduled");
    });
    yield_now().await;
    let second = timeout(2 * TICK, limiter.acquire());
    assert!(second.await.is_ok());
    assert!(first.await.is_err_and(|error| error.is_panic()));
}

#[tokio::test(start_paused = true)]
async fn in_a_struct_in_a_task() {
    assert_eq!(in_a_struct(SlidingWindow::new(1, TICK)).await, 5 * TICK);
}

#[tokio::test(start_paused = true)]
async fn kept_without_being_polled() {
    let limiter = SlidingWindow::new(1, TICK);
    limiter.acquire().await;
    let mut kept = Box::pin(limiter.acquire());
    assert!(futures::poll!(kept.as_mut()).is_pending());
    assert!(timeout(HOUR, limiter.acquire()).await.is_err());
    drop(kept);
    assert!(timeout(TICK, limiter.acquire()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn finer_than_the_timers() {
    let limiter = SlidingWindow::new(2, Duration::from_micros(10_400));
    let start = Instant::now();
    let stamps = join_all((0..21).map(|_| limiter.acquire())).await;
    assert_eq!(stamps[20] - start, 110 * TICK);
}

#[test]
fn in_a_static_over_two_runtimes() {
    static LIMITER: LazyLock<SlidingWindow> = LazyLock::new(|| {
        let tenth = Duration::from_millis(100);
        SlidingWindow::new(1, tenth)
    });
    let runtime = || Builder::new_current_thread().enable_all().build();
    let first = runtime().expect("there are threads");
    first.block_on(async {
        LIMITER.acquire().await;
        tokio::spawn(LIMITER.acquire());
        yield_now().await;
    });
    // The second was first in line.
    drop(first);
    let second = runtime().expect("there are threads");
    let third = second.block_on(async { timeout(HOUR, LIMITER.acquire()).await });
    assert!(third.is_ok());
}

#[test]
fn ten_times_as_many_that_wait_cost_ten_times_as_much() {
    assert_linear_in_waiters(|_| SlidingWindow::new(100, TICK));
    assert_linear_in_waiters(|number| SlidingWindow::new(number as _, HOUR));
}

/// Two threads call at the same moment, each time on a new limiter for two.
#[test]
fn governor_two_threads_at_the_same_moment_both_get_through() {
    let limiters: Vec<_> = (0..20_000).map(|_| SlidingWindow::new(2, HOUR)).collect();
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
    let limiter = &SlidingWindow::new(1_000_000, HOUR);
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
        let limiter = &SlidingWindow::new(5, HOUR);
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
    let limiter = Arc::new(SlidingWindow::new(10, Duration::from_millis(30)));
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
    let window = Duration::from_millis(30);
    assert!(stamps.windows(11).all(|it| it[10] - it[0] >= window));
    // No waiter is left: whoever comes now needs no turn.
    sleep(Duration::from_secs(1)).await;
    assert!(limiter.try_acquire().is_ok());
}

#[tokio::test(start_paused = true)]
async fn limits_the_reset_is_when_the_oldest_leaves() {
    let limiter = SlidingWindow::new(2, 1_000 * TICK);
    assert!(limiter.try_acquire().is_ok());
    sleep(300 * TICK).await;
    assert!(limiter.try_acquire().is_ok());
    assert_eq!(limiter.try_acquire(), Err(RetryAfter(700 * TICK)));
    sleep(700 * TICK).await;
    assert!(limiter.try_acquire().is_ok());
    assert_eq!(limiter.try_acquire(), Err(RetryAfter(300 * TICK)));
}

#[tokio::test(start_paused = true)]
async fn limits_a_refused_hit_is_not_counted() {
    let limiter = SlidingWindow::new(1, 100 * TICK);
    assert!(limiter.try_acquire().is_ok());
    for _ in 0..99 {
        sleep(TICK).await;
        assert!(limiter.try_acquire().is_err());
    }
    sleep(TICK).await;
    assert!(limiter.try_acquire().is_ok());
}

#[tokio::test(start_paused = true)]
async fn tower_a_rate_of_one_in_a_tenth_of_a_second() {
    let limiter = SlidingWindow::new(1, 100 * TICK);
    let start = Instant::now();
    let stamps = join_all((0..4).map(|_| limiter.acquire())).await;
    let millis: Vec<_> = stamps.iter().map(|it| (*it - start).as_millis()).collect();
    assert_eq!(millis, [0, 100, 200, 300]);
}

#[tokio::test(start_paused = true)]
async fn aiolimiter_a_cancelled_waiter_counts_nothing() {
    let limiter = SlidingWindow::new(1, 100 * TICK);
    limiter.acquire().await;
    let start = Instant::now();
    let gives_up = timeout(10 * TICK, limiter.acquire());
    let (gave_up, next) = tokio::join!(biased; gives_up, limiter.acquire());
    assert!(gave_up.is_err());
    assert_eq!(next - start, 100 * TICK);
}

#[tokio::test(start_paused = true)]
async fn pyrate_never_more_than_the_limit_in_any_window() {
    let limiter = SlidingWindow::new(7, 100 * TICK);
    let mut stamps = Vec::new();
    for call in 0..300_u32 {
        sleep(TICK * (call * 7919 % 23)).await;
        stamps.extend(limiter.try_acquire());
    }
    assert!(stamps.len() > 100);
    assert!(stamps.windows(8).all(|it| it[7] - it[0] >= 100 * TICK));
}
