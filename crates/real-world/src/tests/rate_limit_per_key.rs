use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};
use tower::ServiceExt;

use crate::rate_limit_per_key::{KeyedLimiter, TooMany, limit, network};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn in_any_window_there_are_the_burst_and_one_for_each_interval() {
    for burst in [1, 2, 31] {
        let limiter = KeyedLimiter::new(burst, SECOND, 10);
        for window in [1, 5, 100] {
            advance(SECOND * burst).await;
            let start = Instant::now();
            let mut passed = 0;
            while start.elapsed() <= SECOND * window {
                while limiter.check("key").is_ok() {
                    passed += 1;
                }
                advance(SECOND / 10).await;
            }
            assert_eq!(passed, burst + window, "{burst} {window}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn limits_two_rates_in_one_step_differs() {
    let per_second = KeyedLimiter::new(2, SECOND, 10);
    let per_minute = KeyedLimiter::new(1, 60 * SECOND, 10);
    let check = || {
        per_second
            .check("key")
            .and_then(|()| per_minute.check("key"))
    };
    assert_eq!(check(), Ok(()));
    assert!(check().is_err_and(|refused| refused.retry_after > SECOND));
    // The refused request counts.
    assert!(per_second.check("key").is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_as_long_as_it_is_told_gets_through() {
    let limiter = KeyedLimiter::new(3, SECOND / 3, 10);
    for number in 0..1_000 {
        while let Err(TooMany { retry_after }) = limiter.check("key") {
            assert!(!retry_after.is_zero() && retry_after <= SECOND / 3);
            sleep(retry_after - Duration::from_nanos(1)).await;
            advance(Duration::from_nanos(1)).await;
        }
        if number % 7 == 0 {
            advance(Duration::from_millis(123)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn keys_do_not_touch_each_other_and_only_so_many_are_kept() {
    for max_keys in [1, 31, 129, 1_000] {
        let limiter = KeyedLimiter::new(1, SECOND, max_keys);
        for key in 0..100 * max_keys {
            assert!(limiter.check(key).is_ok(), "each is new");
            assert!(limiter.check(key).is_err(), "a second time it is not");
            assert_eq!(limiter.keys(), max_keys.min(key + 1));
        }
        // The last are kept, the first is forgotten.
        let last = 100 * max_keys - 1;
        assert!(limiter.check(last).is_err());
        assert!(limiter.check(last + 1 - max_keys).is_err());
        assert!(limiter.check(last - max_keys).is_ok());
    }
}

/// A client that asks again and again is not forgotten for those that come once.
#[tokio::test(start_paused = true)]
async fn a_refused_key_stays_among_the_last() {
    let limiter = KeyedLimiter::new(1, SECOND, 2);
    assert!(limiter.check(0).is_ok());
    for other in 1..100 {
        assert!(limiter.check(0).is_err());
        assert!(limiter.check(other).is_ok());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_at_once_get_exactly_the_burst() {
    let limiter = Arc::new(KeyedLimiter::new(100, Duration::from_secs(86_400), 10));
    let mut set = JoinSet::new();
    for _ in 0..1_000 {
        let limiter = Arc::clone(&limiter);
        set.spawn(async move { limiter.check("key").is_ok() });
    }
    let passed = set.join_all().await.into_iter().filter(|ok| *ok).count();
    assert_eq!(passed, 100);
}

#[test]
fn the_network_of_an_address() {
    for (address, expected) in [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("::1", "::"),
    ] {
        let [address, expected] = [address, expected].map(|it| it.parse::<IpAddr>());
        assert_eq!(network(address.expect("valid")), expected.expect("valid"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_response_says_whole_seconds_rounded_up() {
    for (interval, said) in [(1, "1"), (1_000, "1"), (1_001, "2"), (90_000, "90")] {
        let interval = Duration::from_millis(interval);
        let limiter = Arc::new(KeyedLimiter::new(1, interval, 10));
        let app = Router::new()
            .route("/", get(async || "hello"))
            .layer(from_fn_with_state(limiter, limit));
        for status in [200, 429] {
            let mut request = Request::new(Body::empty());
            // A header of the client does not matter.
            let faked = format!("10.0.0.{status}").parse().expect("valid");
            request.headers_mut().insert("x-forwarded-for", faked);
            let client = std::net::SocketAddr::from(([10, 0, 0, 1], status));
            request.extensions_mut().insert(ConnectInfo(client));
            let response = app.clone().oneshot(request).await.expect("infallible");
            assert_eq!(response.status().as_u16(), status);
            let after = response.headers().get(header::RETRY_AFTER);
            assert_eq!(after.is_some_and(|it| it == said), status == 429);
        }
        let request = Request::new(Body::empty());
        let response = app.oneshot(request).await.expect("infallible");
        assert_eq!(response.status().as_u16(), 500, "nobody said who it is");
    }
}

#[test]
fn arguments_that_make_no_limit_are_refused() {
    for (burst, interval, max_keys) in [
        (0, SECOND, 1),
        (1, Duration::ZERO, 1),
        (1, SECOND, 0),
        (2, Duration::MAX, 1),
        // A `Duration`, and no `Instant`.
        (1, Duration::from_secs(u64::MAX / 2), 1),
    ] {
        let made = std::panic::catch_unwind(|| {
            KeyedLimiter::<u32>::new(burst, interval, max_keys);
        });
        assert!(made.is_err(), "{burst} {interval:?} {max_keys}");
    }
}

#[test]
fn governor_two_threads_far_below_the_quota_are_never_refused() {
    let limiter = &KeyedLimiter::new(u32::MAX, Duration::from_nanos(1), 2);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..100_000 {
                    assert!(limiter.check(1).is_ok());
                }
            });
        }
    });
}

#[tokio::test(start_paused = true)]
async fn governor_no_more_than_the_burst_after_a_long_pause() {
    let limiter = KeyedLimiter::new(5, SECOND / 5, 2);
    for _ in 0..3 {
        let passed = (0..9).filter(|_| limiter.check("key").is_ok());
        assert_eq!(passed.count(), 5);
        advance(2 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn governor_idle_keys_stay_until_others_come_differs() {
    let limiter = KeyedLimiter::new(1, SECOND, 2);
    for key in ["a", "b", "c"] {
        assert!(limiter.check(key).is_ok());
    }
    advance(3_600 * SECOND).await;
    assert_eq!(limiter.keys(), 2);
}

#[tokio::test(start_paused = true)]
async fn pyrate_a_refusal_takes_nothing() {
    let limiter = KeyedLimiter::new(1, SECOND, 2);
    assert!(limiter.check("key").is_ok());
    assert!((0..99).all(|_| limiter.check("key").is_err()));
    advance(SECOND).await;
    assert!(limiter.check("key").is_ok());
}

#[test]
fn limits_less_than_a_millisecond_is_a_second_in_the_header() {
    for retry_after in [1, 500_000, 1_000_000_000] {
        let retry_after = Duration::from_nanos(retry_after);
        let response = TooMany { retry_after }.into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
