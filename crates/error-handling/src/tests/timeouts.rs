use std::cell::Cell;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::timeouts::join_or_stop;

#[tokio::test(start_paused = true)]
async fn dropped_it_aborts_the_task() {
    let held = Arc::new(());
    let task = tokio::spawn({
        let held = Arc::clone(&held);
        async move {
            sleep(Duration::from_secs(1)).await;
            drop(held);
        }
    });
    let join = join_or_stop(Duration::from_millis(500), task);
    assert!(timeout(Duration::from_millis(100), join).await.is_err());
    sleep(Duration::from_millis(100)).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test(start_paused = true)]
async fn awaited_by_reference_it_keeps_the_call() {
    let held = Arc::new(());
    let call = {
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            pending::<()>().await;
        }
    };
    let mut limited = Box::pin(timeout(Duration::from_secs(1), call));
    assert!(limited.as_mut().await.is_err());
    assert_eq!(Arc::strong_count(&held), 2);
    drop(limited);
    assert_eq!(Arc::strong_count(&held), 1);
}

/// In asyncio only the outer one raises, and the code between the two is cancelled.
#[tokio::test(start_paused = true)]
async fn of_two_limits_that_end_together_the_inner_one_returns_the_error() {
    let deadline = Instant::now() + Duration::from_millis(100);
    let both = timeout_at(deadline, timeout_at(deadline, pending::<()>()));
    assert!(matches!(both.await, Ok(Err(_))));
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_zero_starts_the_call() {
    let started = Cell::new(false);
    let call = async {
        started.set(true);
        pending::<()>().await;
    };
    assert!(timeout(Duration::ZERO, call).await.is_err());
    assert!(started.get());
    assert_eq!(timeout(Duration::ZERO, async { 7 }).await, Ok(7));
}

#[test]
#[should_panic(expected = "overflow when subtracting durations")]
fn a_limit_cannot_be_negative() {
    let (limit, elapsed) = (Duration::from_millis(2), Duration::from_millis(3));
    assert_eq!(limit.saturating_sub(elapsed), Duration::ZERO);
    drop(timeout(limit - elapsed, pending::<()>()));
}

/// It blocks its thread until after the limit, and returns in this last poll.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_ends_just_before_the_abort_returns_its_value() {
    let task = tokio::spawn(async {
        std::thread::sleep(Duration::from_millis(300));
        7
    });
    let joined = join_or_stop(Duration::from_millis(10), task).await;
    assert_eq!(joined.expect("no panic"), Some(7));
}
