//! Cases after the tests of cancellation in CPython's tasks and in trio's scopes.

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Mutex, oneshot};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

const SECOND: Duration = Duration::from_secs(1);

/// Adds a digit to the number when it is dropped.
struct Digit(Arc<AtomicU32>, u32);

impl Drop for Digit {
    fn drop(&mut self) {
        let add = |number| Some(10 * number + self.1);
        let _ = self.0.fetch_update(SeqCst, SeqCst, add);
    }
}

#[tokio::test(start_paused = true)]
async fn cpython_cancelled_before_its_first_turn_it_never_runs() {
    let dropped = Arc::new(AtomicU32::new(0));
    let owned = Digit(Arc::clone(&dropped), 1);
    let task = tokio::spawn(async move {
        let _owned = owned;
        panic!("it runs");
    });
    task.abort();
    assert!(task.await.expect_err("aborted").is_cancelled());
    assert_eq!(dropped.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn cpython_cancelled_after_its_end_it_keeps_its_result() {
    let task = tokio::spawn(async { 7 });
    sleep(SECOND).await;
    task.abort();
    assert_eq!(task.await.expect("it has ended before"), 7);
}

#[tokio::test(start_paused = true)]
async fn cpython_cancelled_twice_it_is_cancelled_once() {
    let task = tokio::spawn(pending::<()>());
    yield_now().await;
    task.abort();
    task.abort();
    assert!(task.await.expect_err("aborted").is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn cpython_cancel_can_be_caught_and_ignored_differs() {
    let went_on = Arc::new(AtomicU32::new(0));
    let after = Arc::clone(&went_on);
    let task = tokio::spawn(async move {
        let caught = AssertUnwindSafe(sleep(9 * SECOND)).catch_unwind().await;
        after.store(1, SeqCst);
        caught.is_err()
    });
    sleep(SECOND).await;
    task.abort();
    assert!(task.await.expect_err("aborted").is_cancelled());
    assert_eq!(went_on.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn cpython_cancel_reaches_a_task_that_is_awaited_differs() {
    for bound in [false, true] {
        let ended = Arc::new(AtomicU32::new(0));
        let inner = Arc::clone(&ended);
        let outer = tokio::spawn(async move {
            let inner = tokio::spawn(async move {
                sleep(2 * SECOND).await;
                inner.store(1, SeqCst);
            });
            if bound {
                let _ = AbortOnDropHandle::new(inner).await;
            } else {
                let _ = inner.await;
            }
        });
        sleep(SECOND).await;
        outer.abort();
        sleep(9 * SECOND).await;
        assert_eq!(ended.load(SeqCst), u32::from(!bound));
    }
}

#[tokio::test(start_paused = true)]
async fn cpython_cancelled_gather_cancels_its_children() {
    let dropped = Arc::new(AtomicU32::new(0));
    let child = |digit| {
        let owned = Digit(Arc::clone(&dropped), digit);
        async move {
            let _owned = owned;
            pending::<()>().await;
        }
    };
    let all = futures::future::join_all([child(1), child(1), child(1)]);
    let task = tokio::spawn(all);
    sleep(SECOND).await;
    task.abort();
    assert!(task.await.expect_err("aborted").is_cancelled());
    assert_eq!(dropped.load(SeqCst), 111);
}

#[tokio::test(start_paused = true)]
async fn cpython_a_cancelled_waiter_releases_no_lock_that_it_does_not_hold() {
    let lock = Arc::new(Mutex::new(()));
    let held = lock.lock().await;
    let waits = tokio::spawn({
        let lock = Arc::clone(&lock);
        async move { drop(lock.lock().await) }
    });
    sleep(SECOND).await;
    waits.abort();
    assert!(waits.await.expect_err("aborted").is_cancelled());
    assert!(lock.try_lock().is_err());
    drop(held);
    assert!(lock.try_lock().is_ok());
}

#[tokio::test(start_paused = true)]
async fn cpython_a_cancelled_holder_releases_the_lock() {
    let lock = Arc::new(Mutex::new(()));
    let holds = tokio::spawn({
        let lock = Arc::clone(&lock);
        async move {
            let _held = lock.lock().await;
            pending::<()>().await;
        }
    });
    sleep(SECOND).await;
    assert!(lock.try_lock().is_err());
    holds.abort();
    assert!(holds.await.expect_err("aborted").is_cancelled());
    assert!(lock.try_lock().is_ok());
}

#[tokio::test(start_paused = true)]
async fn all_values_are_dropped_the_newest_first_before_the_handle_returns() {
    let dropped = Arc::new(AtomicU32::new(0));
    let digits = [1, 2, 3].map(|digit| Digit(Arc::clone(&dropped), digit));
    let task = tokio::spawn(async move {
        let [first, second, third] = digits;
        let _first = first;
        let _second = second;
        let _third = third;
        pending::<()>().await;
    });
    sleep(SECOND).await;
    task.abort();
    // `abort` asks for it. The task is dropped at its next turn.
    assert_eq!(dropped.load(SeqCst), 0);
    assert!(task.await.expect_err("aborted").is_cancelled());
    assert_eq!(dropped.load(SeqCst), 321);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cpython_a_thread_is_not_cancelled_with_its_task() {
    let (begin, begun) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel();
    let task = spawn_blocking(move || {
        begin.send(()).expect("somebody waits");
        may_go_on.blocking_recv().expect("it is sent");
        7
    });
    begun.await.expect("it begins");
    task.abort();
    go_on.send(()).expect("it waits");
    assert_eq!(task.await.expect("it is not aborted"), 7);
}

#[tokio::test(start_paused = true)]
async fn trio_a_cancelled_scope_starts_nothing() {
    let stop = CancellationToken::new();
    stop.cancel();
    let never = stop.run_until_cancelled(async { panic!("it runs") });
    assert!(never.await.is_none());
}

#[tokio::test(start_paused = true)]
async fn trio_a_shielded_clean_up_takes_its_time() {
    let (stop, start) = (CancellationToken::new(), Instant::now());
    let task = tokio::spawn({
        let stop = stop.clone();
        async move {
            let work = stop.run_until_cancelled(sleep(99 * SECOND)).await;
            sleep(SECOND).await;
            (work.is_none(), start.elapsed())
        }
    });
    sleep(SECOND).await;
    stop.cancel();
    let cleaned_up = task.await.expect("it is not aborted");
    assert_eq!(cleaned_up, (true, 2 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn trio_cancelling_a_child_does_not_cancel_its_parent() {
    let parent = CancellationToken::new();
    let (child, other) = (parent.child_token(), parent.child_token());
    child.cancel();
    assert!(!parent.is_cancelled() && !other.is_cancelled());
    parent.cancel();
    assert!(other.is_cancelled());
}
