//! Cases after the tests of CPython's `asyncio.Lock` and of aiocache's locks.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

use crate::lock_per_key::LockPerKey;

const SECOND: Duration = Duration::from_secs(1);

type Locks = LockPerKey<&'static str>;

#[tokio::test(start_paused = true)]
async fn cpython_a_free_lock_is_taken_without_a_wait() {
    let locks = Locks::default();
    let guard = locks.lock("a").now_or_never().expect("it is free");
    assert_eq!((*guard.key(), locks.keys_in_use()), ("a", 1));
}

#[tokio::test(start_paused = true)]
async fn cpython_a_taken_lock_is_waited_for() {
    let locks = Locks::default();
    let guard = locks.lock("a").await;
    assert!(timeout(SECOND, locks.lock("a")).await.is_err());
    drop(guard);
    assert!(locks.lock("a").now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn cpython_waiters_are_served_in_their_order() {
    let (locks, order) = (Locks::default(), RefCell::new(Vec::new()));
    let first = locks.lock("a").await;
    let (locks, order) = (&locks, &order);
    let waiters = join_all((0..31).map(|number| async move {
        let _guard = locks.lock("a").await;
        order.borrow_mut().push(number);
    }));
    let release = async {
        sleep(SECOND).await;
        drop(first);
    };
    tokio::join!(waiters, release);
    assert_eq!(*order.borrow(), (0..31).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn cpython_of_two_waiters_the_first_is_cancelled() {
    let locks = Locks::default();
    let guard = locks.lock("a").await;
    let first = timeout(SECOND, locks.lock("a"));
    let second = locks.lock("a");
    let release = async {
        sleep(2 * SECOND).await;
        drop(guard);
    };
    let (first, second, ()) = tokio::join!(first, second, release);
    assert!(first.is_err());
    assert_eq!(*second.key(), "a");
}

#[tokio::test(start_paused = true)]
async fn cpython_cancelled_when_it_was_woken_it_wakes_the_next() {
    let locks = Arc::new(Locks::default());
    let guard = locks.lock("a").await;
    let waiter = || {
        let locks = Arc::clone(&locks);
        tokio::spawn(async move { *locks.lock("a").await.key() })
    };
    let (first, second) = (waiter(), waiter());
    sleep(SECOND).await;
    // Both in one turn: the first is woken, and never runs.
    drop(guard);
    first.abort();
    assert_eq!(second.await.expect("it gets the lock"), "a");
    assert!(first.await.is_err_and(|error| error.is_cancelled()));
}

#[tokio::test(start_paused = true)]
async fn cpython_a_release_lets_one_waiter_through() {
    let locks = Arc::new(Locks::default());
    let guard = locks.lock("a").await;
    let through = Arc::new(AtomicU32::new(0));
    let mut waiters = JoinSet::new();
    for _ in 0..9 {
        let (locks, through) = (Arc::clone(&locks), Arc::clone(&through));
        waiters.spawn(async move {
            let _guard = locks.lock("a").await;
            through.fetch_add(1, SeqCst);
            sleep(60 * SECOND).await;
        });
    }
    sleep(SECOND).await;
    assert_eq!(through.load(SeqCst), 0);
    drop(guard);
    sleep(SECOND).await;
    assert_eq!(through.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn cpython_an_error_in_the_block_releases_the_lock() {
    async fn fail(locks: &Locks) -> Result<(), std::num::ParseIntError> {
        let _guard = locks.lock("a").await;
        "seven".parse::<u32>()?;
        Ok(())
    }
    let locks = Locks::default();
    assert!(fail(&locks).await.is_err());
    assert_eq!(locks.keys_in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn cpython_a_panic_in_the_block_releases_the_lock() {
    let locks = Locks::default();
    let shared = locks.clone();
    let task = tokio::spawn(async move {
        let _guard = shared.lock("a").await;
        panic!("scheduled");
    });
    assert!(task.await.is_err());
    assert_eq!(locks.keys_in_use(), 0);
    assert!(locks.lock("a").now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn cpython_a_holder_that_locks_again_waits_for_itself() {
    let locks = Locks::default();
    let _guard = locks.lock("a").await;
    assert!(timeout(3600 * SECOND, locks.lock("a")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn cpython_a_new_caller_does_not_overtake_a_woken_waiter() {
    let locks = Locks::default();
    let guard = locks.lock("a").await;
    let mut waiter = Box::pin(locks.lock("a"));
    assert!(waiter.as_mut().now_or_never().is_none());
    drop(guard);
    assert!(locks.lock("a").now_or_never().is_none());
    assert!(waiter.now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn aiocache_different_keys_do_not_wait() {
    let (locks, start) = (Locks::default(), Instant::now());
    let call = async |key| {
        let _guard = locks.lock(key).await;
        sleep(SECOND).await;
    };
    tokio::join!(call("a"), call("b"), call("c"));
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn aiocache_of_callers_that_miss_one_loads() {
    let (locks, cache) = (Locks::default(), RefCell::new(HashMap::new()));
    let loads = AtomicU32::new(0);
    let get = async |key| {
        let _guard = locks.lock(key).await;
        let kept = cache.borrow().get(key).copied();
        if let Some(kept) = kept {
            return kept;
        }
        sleep(SECOND).await;
        let value = loads.fetch_add(1, SeqCst);
        cache.borrow_mut().insert(key, value);
        value
    };
    let values = join_all((0..31).map(|_| get("a"))).await;
    assert_eq!((values, loads.load(SeqCst)), (vec![0; 31], 1));
}

#[tokio::test(start_paused = true)]
async fn aiocache_no_lock_is_left_when_all_have_ended() {
    let locks = LockPerKey::<u32>::default();
    let call = async |key: u32| {
        let _guard = locks.lock(key % 10).await;
        sleep(SECOND).await;
    };
    let calls = join_all((0..100).map(call));
    let look = async {
        sleep(SECOND / 2).await;
        assert_eq!(locks.keys_in_use(), 10);
    };
    tokio::join!(calls, look);
    assert_eq!(locks.keys_in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn aiocache_a_wait_with_a_limit_leaves_nothing_behind() {
    let locks = Locks::default();
    let guard = locks.lock("a").await;
    for _ in 0..100 {
        let waits = timeout(SECOND, locks.lock("a"));
        assert!(waits.await.is_err());
    }
    drop(guard);
    assert_eq!(locks.keys_in_use(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn aiocache_on_threads_a_key_has_one_holder() {
    let locks = LockPerKey::<usize>::default();
    let holders: Arc<[AtomicU32; 3]> = Arc::default();
    let mut tasks = JoinSet::new();
    for number in 0..64 {
        let (locks, holders) = (locks.clone(), Arc::clone(&holders));
        tasks.spawn(async move {
            for round in 0..100 {
                let key = (number + round) % 3;
                let _guard = locks.lock(key).await;
                assert_eq!(holders[key].fetch_add(1, SeqCst), 0);
                yield_now().await;
                holders[key].fetch_sub(1, SeqCst);
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(locks.keys_in_use(), 0);
}
