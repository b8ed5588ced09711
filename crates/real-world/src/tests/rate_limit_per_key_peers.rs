//! Further cases after the tests of governor's keyed limiters, pyrate-limiter and limits.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use axum::response::IntoResponse;
use tokio::time::advance;

use crate::rate_limit_per_key::{KeyedLimiter, TooMany};

const SECOND: Duration = Duration::from_secs(1);

/// How many requests of the key get through now.
fn passing(limiter: &KeyedLimiter<u32>, key: u32) -> usize {
    (0..100).filter(|_| limiter.check(key).is_ok()).count()
}

#[tokio::test(start_paused = true)]
async fn governor_the_first_request_of_each_key_gets_through() {
    let limiter = KeyedLimiter::new(1, SECOND, 100);
    assert!((0..100).all(|key| limiter.check(key).is_ok()));
}

#[tokio::test(start_paused = true)]
async fn governor_too_many_are_refused_for_each_key() {
    let limiter = KeyedLimiter::new(2, SECOND, 100);
    for key in 0..20 {
        assert_eq!(passing(&limiter, key), 2);
    }
    advance(SECOND).await;
    for key in 0..20 {
        assert_eq!(passing(&limiter, key), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn governor_whoever_waits_as_long_as_told_gets_through() {
    let limiter = KeyedLimiter::new(5, SECOND / 5, 2);
    let mut refused = 0;
    for _ in 0..50 {
        advance(SECOND / 1000).await;
        if let Err(TooMany { retry_after }) = limiter.check(7) {
            refused += 1;
            advance(retry_after).await;
            assert_eq!(limiter.check(7), Ok(()));
        }
    }
    assert!(refused > 30);
}

#[test]
fn governor_of_twenty_threads_exactly_the_burst_gets_through() {
    for _ in 0..200 {
        let limiter = KeyedLimiter::new(5, 3600 * SECOND, 10);
        let barrier = Barrier::new(20);
        let passed: usize = thread::scope(|scope| {
            let call = || {
                barrier.wait();
                usize::from(limiter.check("key").is_ok())
            };
            let threads: Vec<_> = (0..20).map(|_| scope.spawn(call)).collect();
            let passed = threads.into_iter().map(|thread| thread.join());
            passed.map(|passed| passed.expect("no panic")).sum()
        });
        assert_eq!(passed, 5);
    }
}

#[tokio::test(start_paused = true)]
async fn governor_the_length_is_the_number_of_keys() {
    let limiter = KeyedLimiter::new(1, SECOND, 10);
    assert_eq!(limiter.keys(), 0);
    for key in 0..5 {
        limiter.check(key).expect("its first");
        assert!(limiter.check(key).is_err());
        assert_eq!(limiter.keys(), key + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn governor_a_forgotten_key_begins_with_a_full_bucket_differs() {
    let limiter = KeyedLimiter::new(1, 3600 * SECOND, 2);
    for key in 0..3 {
        assert_eq!(passing(&limiter, key), 1);
    }
    assert_eq!((limiter.keys(), passing(&limiter, 0)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn pyrate_keys_are_independent() {
    let limiter = KeyedLimiter::new(3, SECOND, 2);
    assert_eq!(passing(&limiter, 1), 3);
    assert_eq!(passing(&limiter, 2), 3);
    assert_eq!(passing(&limiter, 1), 0);
}

#[tokio::test(start_paused = true)]
async fn pyrate_a_key_that_is_refused_all_the_time_is_not_forgotten() {
    let limiter = KeyedLimiter::new(1, 3600 * SECOND, 3);
    limiter.check(0).expect("its first");
    for key in 1..1000 {
        assert!(limiter.check(0).is_err());
        assert_eq!(limiter.check(key), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn limits_the_header_has_whole_seconds_rounded_up() {
    for (millis, header) in [
        (1, "1"),
        (999, "1"),
        (1000, "1"),
        (1001, "2"),
        (59_001, "60"),
    ] {
        let retry_after = Duration::from_millis(millis);
        let response = TooMany { retry_after }.into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], header);
    }
}

#[tokio::test(start_paused = true)]
async fn limits_a_long_idle_key_has_the_burst_and_no_more() {
    let limiter = KeyedLimiter::new(5, SECOND, 2);
    for _ in 0..3 {
        assert_eq!(passing(&limiter, 1), 5);
        advance(86_400 * SECOND).await;
    }
}
