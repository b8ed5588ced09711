//! Further cases after the tests of resilience4j, asyncio-throttle, limits, leaky-bucket,
//! pyrate-limiter and Go's `x/time/rate`.

use std::cell::RefCell;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::sync::TryAcquireError;
use tokio::time::{Instant, sleep, timeout};

use super::support::tasks;
use crate::semaphore_rate_limiter::RateLimiter;

const SECOND: Duration = Duration::from_secs(1);

/// How many calls get through now.
fn passing(limiter: &RateLimiter) -> usize {
    (0..100).filter(|_| limiter.try_acquire().is_ok()).count()
}

/// The seconds at which so many calls get through.
async fn seconds(limiter: &RateLimiter, calls: u32) -> Vec<u64> {
    let start = Instant::now();
    let moments = join_all((0..calls).map(|_| limiter.acquire())).await;
    let second = |at: Instant| (at - start).as_secs();
    let moments = moments.into_iter();
    moments
        .map(|at| second(at.expect("its task runs")))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn resilience4j_within_the_limit_nobody_waits() {
    let limiter = RateLimiter::new(5, SECOND);
    assert_eq!(seconds(&limiter, 5).await, [0; 5]);
}

#[tokio::test(start_paused = true)]
async fn resilience4j_above_the_limit_a_caller_waits_for_the_next_period() {
    let limiter = RateLimiter::new(2, 10 * SECOND);
    assert_eq!(seconds(&limiter, 5).await, [0, 0, 10, 10, 20]);
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_wait_that_is_too_long_is_given_up() {
    let limiter = RateLimiter::new(1, 10 * SECOND);
    assert!(limiter.acquire().await.is_ok());
    assert!(timeout(SECOND, limiter.acquire()).await.is_err());
    sleep(9 * SECOND + SECOND / 100).await;
    assert_eq!(passing(&limiter), 1);
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_refused_call_has_an_error_of_its_own() {
    let limiter = RateLimiter::new(1, SECOND);
    assert!(limiter.try_acquire().is_ok());
    assert_eq!(limiter.try_acquire(), Err(TryAcquireError::NoPermits));
}

#[tokio::test(start_paused = true)]
async fn resilience4j_unused_permissions_are_not_saved() {
    let limiter = RateLimiter::new(3, SECOND);
    sleep(3600 * SECOND).await;
    assert_eq!(passing(&limiter), 3);
}

#[tokio::test(start_paused = true)]
async fn resilience4j_dropped_it_leaves_no_task() {
    let limiter = RateLimiter::new(3, SECOND);
    assert_eq!(passing(&limiter), 3);
    drop(limiter);
    sleep(SECOND).await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn asyncio_throttle_in_no_period_are_more_than_the_limit() {
    let limiter = RateLimiter::new(5, SECOND);
    let seconds = seconds(&limiter, 31).await;
    assert!(seconds.windows(6).all(|six| six[5] > six[0]));
    assert_eq!(seconds.last(), Some(&6));
}

#[tokio::test(start_paused = true)]
async fn limits_at_the_edge_of_two_periods_no_more_than_the_limit() {
    let limiter = RateLimiter::new(5, 60 * SECOND);
    sleep(59 * SECOND).await;
    assert_eq!(passing(&limiter), 5);
    sleep(2 * SECOND).await;
    assert_eq!(passing(&limiter), 0);
    sleep(58 * SECOND + SECOND / 100).await;
    assert_eq!(passing(&limiter), 5);
}

#[tokio::test(start_paused = true)]
async fn leaky_bucket_callers_are_served_in_their_order() {
    let (limiter, order) = (RateLimiter::new(1, SECOND), RefCell::new(Vec::new()));
    let (limiter, order) = (&limiter, &order);
    let calls = (0..6).map(|number| async move {
        assert!(limiter.acquire().await.is_ok());
        order.borrow_mut().push(number);
    });
    join_all(calls).await;
    assert_eq!(*order.borrow(), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn leaky_bucket_without_waiting_nobody_is_overtaken() {
    let limiter = RateLimiter::new(1, SECOND);
    assert!(limiter.try_acquire().is_ok());
    let mut waits = Box::pin(limiter.acquire());
    assert!(waits.as_mut().now_or_never().is_none());
    sleep(2 * SECOND).await;
    // Its permit is there, and it has not been polled yet.
    assert!(limiter.try_acquire().is_err());
    assert!(waits.now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn pyrate_a_refusal_takes_nothing() {
    let limiter = RateLimiter::new(1, SECOND);
    assert!(limiter.try_acquire().is_ok());
    assert_eq!(passing(&limiter), 0);
    sleep(SECOND + SECOND / 100).await;
    assert_eq!(passing(&limiter), 1);
}

#[tokio::test(start_paused = true)]
async fn go_rate_a_cancelled_wait_delays_nobody() {
    let limiter = RateLimiter::new(1, 10 * SECOND);
    assert!(limiter.acquire().await.is_ok());
    let start = Instant::now();
    let cancelled = timeout(SECOND, limiter.acquire());
    let waits = async {
        assert!(limiter.acquire().await.is_ok());
        start.elapsed().as_secs()
    };
    let (cancelled, waited) = tokio::join!(cancelled, waits);
    assert!(cancelled.is_err());
    assert_eq!(waited, 10);
}
