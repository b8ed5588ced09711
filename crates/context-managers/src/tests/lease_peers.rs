//! Further cases after the tests of redis-py's `Lock` and aiocache's `RedLock`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

use crate::lease::{Expired, LeaseLock};

const SECOND: Duration = Duration::from_secs(1);

fn lock() -> LeaseLock {
    LeaseLock::new(10 * SECOND)
}

#[tokio::test(start_paused = true)]
async fn redis_py_a_free_lock_is_acquired_immediately() {
    assert!(lock().acquire().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn redis_py_a_second_holder_waits_until_it_is_released() {
    let lock = lock();
    let lease = lock.acquire().await;
    assert!(timeout(SECOND, lock.acquire()).await.is_err());
    drop(lease);
    assert!(lock.acquire().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn redis_py_after_its_timeout_another_holder_gets_the_lock() {
    let (lock, start) = (lock(), Instant::now());
    let _first = lock.acquire().await;
    let _second = lock.acquire().await;
    assert_eq!(start.elapsed(), 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn redis_py_extended_it_is_held_longer() {
    let (lock, start) = (lock(), Instant::now());
    let first = lock.acquire().await;
    let renew = async {
        for _ in 0..5 {
            sleep(9 * SECOND).await;
            assert_eq!(first.renew(), Ok(()));
        }
    };
    let _second = tokio::join!(lock.acquire(), renew).0;
    assert_eq!(start.elapsed(), 55 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn redis_py_an_extension_replaces_the_time_that_is_left() {
    let (lock, start) = (lock(), Instant::now());
    let first = lock.acquire().await;
    sleep(4 * SECOND).await;
    assert_eq!(first.renew(), Ok(()));
    assert_eq!(first.renew(), Ok(()));
    let _second = lock.acquire().await;
    assert_eq!(start.elapsed(), 14 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn redis_py_a_lock_that_has_expired_cannot_be_extended() {
    let lock = lock();
    let lease = lock.acquire().await;
    sleep(10 * SECOND).await;
    assert_eq!(lease.renew(), Err(Expired));
    // Not even if nobody else took it, and not later.
    sleep(SECOND).await;
    assert_eq!(lease.renew(), Err(Expired));
}

#[tokio::test(start_paused = true)]
async fn redis_py_a_lock_of_another_holder_cannot_be_extended() {
    let lock = lock();
    let first = lock.acquire().await;
    let second = lock.acquire().await;
    assert_eq!(first.renew(), Err(Expired));
    assert_eq!(second.renew(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn redis_py_a_late_release_does_not_release_the_next_holder_differs() {
    // redis-py raises `LockNotOwnedError`; here dropping is silent.
    let lock = lock();
    let first = lock.acquire().await;
    let second = lock.acquire().await;
    drop(first);
    assert!(lock.acquire().now_or_never().is_none());
    assert_eq!(second.renew(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn redis_py_the_token_of_each_holder_is_higher_than_the_last() {
    let lock = lock();
    let mut last = 0;
    for round in 0..31 {
        let lease = lock.acquire().await;
        assert!(lease.token() > last);
        last = lease.token();
        if round % 2 == 0 {
            // The next one waits until it has expired.
            std::mem::forget(lease);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn redis_py_an_error_in_the_block_releases_the_lock() {
    let lock = lock();
    let work = async || -> Result<u32, std::num::ParseIntError> {
        let _lease = lock.acquire().await;
        "seven".parse()
    };
    assert!(work().await.is_err());
    assert!(lock.acquire().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn aiocache_a_wait_has_a_limit_by_a_timeout() {
    let lock = lock();
    let lease = lock.acquire().await;
    for _ in 0..5 {
        assert!(timeout(SECOND, lock.acquire()).await.is_err());
    }
    drop(lease);
    assert!(lock.acquire().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn aiocache_waiters_are_woken_one_after_the_other() {
    let (lock, start) = (lock(), Instant::now());
    let works = (0..5).map(|_| async {
        let _lease = lock.acquire().await;
        sleep(SECOND).await;
        start.elapsed().as_secs()
    });
    assert_eq!(join_all(works).await, [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn aiocache_a_holder_that_hangs_delays_the_others_by_its_time_only() {
    let (lock, start) = (lock(), Instant::now());
    let hangs = async {
        let _lease = lock.acquire().await;
        sleep(3600 * SECOND).await;
    };
    let works = async {
        let _lease = lock.acquire().await;
        start.elapsed()
    };
    assert_eq!(tokio::join!(hangs, works).1, 10 * SECOND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn aiocache_on_threads_one_holder_at_a_time() {
    let (lock, holders) = (LeaseLock::new(3600 * SECOND), Arc::new(AtomicU32::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let (lock, holders) = (lock.clone(), Arc::clone(&holders));
        tasks.spawn(async move {
            for _ in 0..50 {
                let lease = lock.acquire().await;
                assert_eq!(holders.fetch_add(1, SeqCst), 0);
                yield_now().await;
                holders.fetch_sub(1, SeqCst);
                drop(lease);
            }
        });
    }
    tasks.join_all().await;
}
