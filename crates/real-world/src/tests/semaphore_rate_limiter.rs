use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, TryAcquireError};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

use super::limiters::{
    Limiter, assert_in_order, assert_linear_in_waiters, assert_windows_are_exact,
    assert_windows_on_threads, in_a_struct, most_polls,
};
use super::support::{poll_and_drop, tasks};
use crate::semaphore_rate_limiter::RateLimiter;

const TICK: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

impl Limiter for RateLimiter {
    async fn pass(&self) -> Instant {
        self.acquire().await.expect("it is open")
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    for (before, behind) in [(1, 0), (1, 3), (2, 3), (4, 0), (4, 2)] {
        for limit in 1..3 {
            let mut completed = false;
            for polls in 1..25 {
                let limiter = RateLimiter::new(limit, 5 * TICK);
                let start = Instant::now();
                let line = |callers| join_all((0..callers).map(|_| limiter.acquire()));
                let leaves = poll_and_drop(limiter.acquire(), polls);
                let all =
                    async { tokio::join!(biased; line(before), leaves, line(behind)) };
                let all = timeout(HOUR, all).await.expect("nobody hangs");
                completed |= all.1.is_some();
                // It is not woken but looks at each tick, so it may keep a permit
                // that it was given for as long.
                let stamps = all.0.into_iter().chain(all.1).chain(all.2);
                for (stamp, number) in stamps.zip(0..) {
                    let stamp = stamp.expect("it is open") - start;
                    let ideal = number / limit as u32 * 5 * TICK;
                    assert!(stamp >= ideal && stamp <= ideal + TICK, "{before} {polls}");
                }
            }
            assert!(completed, "25 polls are enough");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_on_threads_keep_to_the_window() {
    assert_windows_on_threads(RateLimiter::new).await;
}

#[tokio::test(start_paused = true)]
async fn many_are_exact() {
    assert_windows_are_exact(RateLimiter::new).await;
}

#[tokio::test(start_paused = true)]
async fn in_the_order_of_asking() {
    assert_in_order(RateLimiter::new(2, TICK)).await;
}

#[tokio::test(start_paused = true)]
async fn not_woken_while_others_wait() {
    // Into the line, and when its permit is there.
    assert!(most_polls(RateLimiter::new(1, HOUR)).await <= Some(2));
}

#[tokio::test(start_paused = true)]
async fn limits() {
    let refused = |limit, window| {
        std::panic::catch_unwind(|| RateLimiter::new(limit, window)).is_err()
    };
    assert!(refused(0, TICK));
    assert!(refused(1, Duration::ZERO));
    assert!(refused(1, Duration::MAX));
    assert!(refused(Semaphore::MAX_PERMITS + 1, TICK));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_first_in_line() {
    let limiter = Arc::new(RateLimiter::new(1, TICK));
    let _ = limiter.acquire().await;
    let first = Arc::clone(&limiter);
    let first = tokio::spawn(async move {
        let mut acquire = pin!(first.acquire());
        assert!(futures::poll!(acquire.as_mut()).is_pending());
        // With the permit given to it.
        sleep(2 * TICK).await;
        panic!("scheduled");
    });
    yield_now().await;
    let second = timeout(4 * TICK, limiter.acquire());
    assert!(second.await.is_ok());
    assert!(first.await.is_err_and(|error| error.is_panic()));
}

#[tokio::test(start_paused = true)]
async fn in_a_struct_in_a_task() {
    assert_eq!(in_a_struct(RateLimiter::new(1, TICK)).await, 5 * TICK);
}

#[tokio::test(start_paused = true)]
async fn kept_without_being_polled() {
    let limiter = RateLimiter::new(1, TICK);
    let _ = limiter.acquire().await;
    let mut kept = Box::pin(limiter.acquire());
    assert!(futures::poll!(kept.as_mut()).is_pending());
    assert!(timeout(HOUR, limiter.acquire()).await.is_err());
    // Nor does this one overtake it.
    assert_eq!(limiter.try_acquire(), Err(TryAcquireError::NoPermits));
    drop(kept);
    assert!(limiter.try_acquire().is_ok());
}

#[tokio::test(start_paused = true)]
async fn finer_than_the_timers() {
    let limiter = RateLimiter::new(2, Duration::from_micros(10_400));
    let start = Instant::now();
    let stamps = join_all((0..21).map(|_| limiter.acquire())).await;
    assert!(matches!(stamps[20], Ok(last) if last - start == 110 * TICK));
}

#[tokio::test(start_paused = true)]
async fn its_task_ends_with_it() {
    let limiter = RateLimiter::new(1, HOUR);
    let _ = limiter.acquire().await;
    assert_eq!(tasks(), 1);
    drop(limiter);
    yield_now().await;
    assert_eq!(tasks(), 0);
}

#[test]
fn made_in_a_runtime_that_has_ended() {
    let runtime = || Builder::new_current_thread().enable_all().build();
    let first = runtime().expect("there are threads");
    let limiter = first.block_on(async { RateLimiter::new(1, TICK) });
    drop(first);
    let second = runtime().expect("there are threads");
    let acquired = second.block_on(async { timeout(HOUR, limiter.acquire()).await });
    assert!(matches!(acquired, Ok(Err(_))));
    assert_eq!(limiter.try_acquire(), Err(TryAcquireError::Closed));
}

#[test]
fn ten_times_as_many_that_wait_cost_ten_times_as_much() {
    assert_linear_in_waiters(|_| RateLimiter::new(100, TICK));
    assert_linear_in_waiters(|number| RateLimiter::new(number as _, HOUR));
}

#[tokio::test(start_paused = true)]
async fn asyncio_throttle_five_in_a_second_of_twelve() {
    let limiter = RateLimiter::new(5, 1_000 * TICK);
    let start = Instant::now();
    let stamps = join_all((0..12).map(|_| limiter.pass())).await;
    let seconds: Vec<_> = stamps.iter().map(|it| (*it - start).as_secs()).collect();
    assert_eq!(seconds, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2]);
}

#[test]
fn go_rate_of_fifteen_threads_exactly_the_limit_gets_through() {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("there are threads");
    for _ in 0..100 {
        let limiter = &runtime.block_on(async { RateLimiter::new(5, HOUR) });
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

#[tokio::test(start_paused = true)]
async fn resilience4j_a_waiter_that_gives_up_takes_no_permission() {
    let limiter = RateLimiter::new(1, 100 * TICK);
    limiter.pass().await;
    assert!(timeout(10 * TICK, limiter.acquire()).await.is_err());
    let start = Instant::now();
    limiter.pass().await;
    assert!(start.elapsed() <= 91 * TICK, "{:?}", start.elapsed());
}
