use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::support::{all_wait, assert_linear, poll_and_drop, soon};
use crate::lock_per_key::LockPerKey;

const TICK: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_dropped_waiter_leaves_no_entry() {
    for polls in 0..5 {
        let locks = LockPerKey::default();
        let guard = locks.lock("key").await;
        assert!(poll_and_drop(locks.lock("key"), polls).await.is_none());
        drop(guard);
        assert_eq!(locks.keys_in_use(), 0, "{polls} polls");
        // Behind one that is dropped, another is served.
        let guard = locks.lock("key").await;
        let leaves = poll_and_drop(locks.lock("key"), polls);
        let stays = async { drop(locks.lock("key").await) };
        let frees = async {
            sleep(10 * TICK).await;
            drop(guard)
        };
        timeout(60 * TICK, async { tokio::join!(leaves, stays, frees) })
            .await
            .expect("the lock comes free");
        assert_eq!(locks.keys_in_use(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_dropped_after_the_guard_leaves_no_entry() {
    let locks = LockPerKey::default();
    let guard = locks.lock(1).await;
    let mut waiter = Box::pin(locks.lock(1));
    assert!(futures::poll!(&mut waiter).is_pending());
    drop(guard);
    // The lock is this waiter's, who has not looked yet.
    assert_eq!(locks.keys_in_use(), 1);
    drop(waiter);
    assert_eq!(locks.keys_in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_at_a_time_for_a_key_in_the_order_of_the_calls() {
    for number in [0, 1, 31, 129, 1000] {
        let locks = LockPerKey::default();
        let first = locks.lock("key").await;
        let waiters = all_wait(number, |number| {
            let locks = locks.clone();
            async move {
                let _guard = locks.lock("key").await;
                sleep(TICK).await;
                number
            }
        });
        let waiters = waiters.await;
        drop(locks.lock("another").await);
        drop(first);
        let mut waiters = waiters;
        let mut served = Vec::new();
        while let Some(number) = soon(waiters.join_next()).await {
            served.push(number.expect("it does not panic"));
        }
        assert_eq!(served, (0..number).collect::<Vec<u32>>());
        assert_eq!(locks.keys_in_use(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_users_of_seven_keys_some_aborted_some_panicking() {
    const KEYS: usize = 7;
    let locks = LockPerKey::default();
    let running: Arc<[AtomicUsize; KEYS]> = Arc::default();
    let mut tasks = JoinSet::new();
    for number in 0..10_000 {
        let (locks, running) = (locks.clone(), Arc::clone(&running));
        let task = tasks.spawn(async move {
            let key = number % KEYS;
            let guard = locks.lock(key).await;
            // Leaves also when its task is aborted.
            struct Inside(Arc<[AtomicUsize; KEYS]>, usize);
            impl Drop for Inside {
                fn drop(&mut self) {
                    self.0[self.1].fetch_sub(1, SeqCst);
                }
            }
            assert_eq!(running[key].fetch_add(1, SeqCst), 0, "two at once");
            let inside = Inside(running, key);
            tokio::task::yield_now().await;
            assert!(number % 16 != 5, "scheduled");
            drop((inside, guard));
        });
        if number % 10 == 9 {
            task.abort();
        }
    }
    let mut panicked = 0;
    while let Some(ended) = soon(tasks.join_next()).await {
        let panic = ended.err().filter(|error| error.is_panic());
        panicked += usize::from(panic.is_some());
    }
    // The aborted tasks do not panic, unless they were quicker.
    assert!((500..=625).contains(&panicked), "{panicked} panicked");
    assert_eq!(locks.keys_in_use(), 0);
}

#[test]
fn many_keys_cost_as_much_each_as_few() {
    assert_linear(async |number| {
        let locks = LockPerKey::default();
        let mut guards = Vec::new();
        for key in 0..number {
            guards.push(locks.lock(key).await);
        }
        drop(guards);
    });
}

/// The trap: a map whose holder removes the entry, although a caller waits for its lock.
#[tokio::test(start_paused = true)]
async fn a_holder_that_always_removes_the_entry_lets_two_calls_run_at_the_same_time() {
    let locks = Mutex::new(HashMap::<&str, Arc<tokio::sync::Mutex<()>>>::new());
    let (naive, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let call = async |millis| {
        sleep(millis * TICK).await;
        let lock = Arc::clone(locks.lock().expect("no panic").entry("key").or_default());
        let guard = lock.lock().await;
        most.fetch_max(naive.fetch_add(1, SeqCst) + 1, SeqCst);
        sleep(10 * TICK).await;
        naive.fetch_sub(1, SeqCst);
        locks.lock().expect("no panic").remove("key");
        drop(guard);
    };
    // The second waits when the first one removes the entry, and the third comes then.
    tokio::join!(call(0), call(5), call(15));
    assert_eq!(most.load(SeqCst), 2);

    let (locks, most) = (LockPerKey::default(), AtomicUsize::new(0));
    let running = AtomicUsize::new(0);
    let call = async |millis| {
        sleep(millis * TICK).await;
        let _guard = locks.lock("key").await;
        most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
        sleep(10 * TICK).await;
        running.fetch_sub(1, SeqCst);
    };
    tokio::join!(call(0), call(5), call(15));
    assert_eq!((most.load(SeqCst), locks.keys_in_use()), (1, 0));
}
