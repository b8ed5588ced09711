use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use deadpool::managed::Pool;
use futures::FutureExt;
use governor::{Quota, RateLimiter};
use moka::future::Cache;
use tokio::time::{Instant, advance, timeout};
use tower::{ServiceBuilder, ServiceExt};

use crate::choose_a_crate::{CallError, Connections, TENTH, greet, use_one};

#[tokio::test(start_paused = true)]
async fn backon_without_when_repeats_all_and_obeys_the_paused_clock() {
    let start = Instant::now();
    let calls = AtomicUsize::new(0);
    let call = || async {
        calls.fetch_add(1, Ordering::Relaxed);
        Err::<(), _>(CallError::Refused)
    };
    let delays = ExponentialBuilder::default().with_min_delay(TENTH);
    let result = call.retry(delays.with_max_times(3)).await;
    assert_eq!(result, Err(CallError::Refused));
    assert_eq!(calls.into_inner(), 4);
    // It computes with floats.
    let late = start.elapsed() - 7 * TENTH;
    assert!(late < TENTH / 10, "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn governor_waits_on_the_real_clock() {
    let quota = Quota::with_period(TENTH).expect("not zero");
    let limiter = RateLimiter::direct(quota);
    let (start, real) = (Instant::now(), std::time::Instant::now());
    limiter.until_ready().await;
    limiter.until_ready().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(real.elapsed() >= TENTH - Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn moka_expires_by_the_real_clock() {
    let cache = Cache::builder().time_to_live(10 * TENTH).build();
    cache.insert(1, 250).await;
    advance(Duration::from_secs(3600)).await;
    assert_eq!(cache.get(&1).await, Some(250));
    std::thread::sleep(11 * TENTH);
    assert_eq!(cache.get(&1).await, None);
}

#[tokio::test(start_paused = true)]
async fn tower_obeys_the_paused_clock() {
    let service = ServiceBuilder::new().timeout(TENTH).service_fn(greet);
    let start = Instant::now();
    assert!(service.oneshot(String::new()).await.is_err());
    assert_eq!(start.elapsed(), TENTH);
}

#[tokio::test(start_paused = true)]
async fn deadpool_gets_back_what_is_cancelled_or_panics() {
    let opened = AtomicUsize::new(0);
    let pool = Pool::builder(Connections { opened }).max_size(1);
    let pool = pool.build().expect("no limits in time");
    for ticks in 0..4 {
        let used = use_one(&pool, "ada", false);
        let _ = timeout(ticks * TENTH, used).await;
        assert_eq!(pool.status().available, pool.status().size);
    }
    let panics = async {
        let _connection = pool.get().await;
        // It waits for ever, as it was given no limit.
        let day = Duration::from_secs(24 * 3600);
        assert!(timeout(day, pool.get()).await.is_err());
        panic!("scheduled");
    };
    let panics = std::panic::AssertUnwindSafe(panics).catch_unwind();
    assert!(panics.await.is_err());
    assert_eq!(pool.status().available, 1);
    // Two of the users were cancelled, and what they had was not used again.
    assert_eq!(pool.manager().opened.load(Ordering::Relaxed), 3);
}
