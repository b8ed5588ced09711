//! Cases after the tests of async-timeout and of resilience4j's `TimeLimiter`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use super::support::tasks;
use crate::timeouts::{FetchError, fetch_within, join_or_stop};

const SECOND: Duration = Duration::from_secs(1);

/// Returns a task that takes so many seconds, and what it counts at its end.
fn counting(seconds: u32) -> (JoinHandle<u32>, Arc<AtomicU32>) {
    let ends = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&ends);
    let task = tokio::spawn(async move {
        sleep(seconds * SECOND).await;
        counted.fetch_add(1, SeqCst);
        seconds
    });
    (task, ends)
}

#[tokio::test(start_paused = true)]
async fn async_timeout_a_task_that_ends_in_time() {
    let joined = join_or_stop(2 * SECOND, counting(1).0).await;
    assert!(matches!(joined, Ok(Some(1))));
}

#[tokio::test(start_paused = true)]
async fn async_timeout_it_returns_when_the_task_ends_and_not_later() {
    let start = Instant::now();
    assert!(join_or_stop(60 * SECOND, counting(1).0).await.is_ok());
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn async_timeout_after_the_limit_there_is_no_value() {
    let start = Instant::now();
    let joined = join_or_stop(SECOND, counting(5).0).await;
    assert!(matches!(joined, Ok(None)));
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn async_timeout_a_limit_of_zero() {
    assert!(matches!(
        join_or_stop(Duration::ZERO, counting(1).0).await,
        Ok(None)
    ));
    // A task that has ended has its value, even so.
    let task = tokio::spawn(async { 7 });
    sleep(SECOND).await;
    assert!(matches!(
        join_or_stop(Duration::ZERO, task).await,
        Ok(Some(7))
    ));
}

#[tokio::test(start_paused = true)]
async fn async_timeout_none_is_a_limit_that_never_comes() {
    let joined = join_or_stop(Duration::MAX, counting(86_400 * 365).0).await;
    assert!(matches!(joined, Ok(Some(31_536_000))));
}

#[tokio::test(start_paused = true)]
async fn async_timeout_an_exception_of_the_task_is_passed_on() {
    let task = tokio::spawn(async { panic!("scheduled") });
    let joined: Result<Option<()>, _> = join_or_stop(SECOND, task).await;
    assert!(joined.is_err_and(|error| error.is_panic()));
}

#[tokio::test(start_paused = true)]
async fn async_timeout_cancelling_the_outer_task_cancels_the_inner_one() {
    let (task, ends) = counting(5);
    let outer = tokio::spawn(join_or_stop(60 * SECOND, task));
    sleep(SECOND).await;
    outer.abort();
    sleep(60 * SECOND).await;
    assert_eq!((ends.load(SeqCst), tasks()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn async_timeout_an_abort_by_somebody_else_is_no_timeout() {
    let (task, _) = counting(60);
    task.abort();
    let joined = join_or_stop(30 * SECOND, task).await;
    assert!(joined.is_err_and(|error| error.is_cancelled()));
}

#[tokio::test(start_paused = true)]
async fn async_timeout_the_caller_is_not_cancelled_by_the_timeout() {
    let caller = tokio::spawn(async {
        let stopped = join_or_stop(SECOND, counting(5).0).await;
        sleep(SECOND).await;
        stopped.is_ok_and(|value| value.is_none())
    });
    assert!(caller.await.expect("it was not aborted"));
}

#[tokio::test(start_paused = true)]
async fn async_timeout_of_two_nested_limits_the_inner_one_may_end_first() {
    let start = Instant::now();
    let inner = join_or_stop(SECOND, counting(9).0);
    let outer = timeout(5 * SECOND, inner).await;
    assert!(matches!(outer, Ok(Ok(None))));
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn async_timeout_of_two_nested_limits_the_outer_one_may_end_first() {
    let (task, ends) = counting(9);
    let outer = timeout(SECOND, join_or_stop(5 * SECOND, task)).await;
    assert!(outer.is_err());
    sleep(60 * SECOND).await;
    assert_eq!(ends.load(SeqCst), 0, "the task is aborted as well");
}

#[tokio::test(start_paused = true)]
async fn async_timeout_it_can_be_used_again() {
    for seconds in [1, 9, 2, 9] {
        let joined = join_or_stop(3 * SECOND, counting(seconds).0).await;
        let expected = (seconds < 3).then_some(seconds);
        assert_eq!(joined.expect("no panic"), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn async_timeout_many_at_the_same_time() {
    let mut joins = JoinSet::new();
    for seconds in 0..1000 {
        joins.spawn(join_or_stop(500 * SECOND, counting(seconds).0));
    }
    let joined = joins.join_all().await;
    let values = joined
        .into_iter()
        .filter_map(|value| value.expect("no panic"));
    // The one that ends at the limit may have its value or not.
    assert!((500..=501).contains(&values.count()));
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_timeout_cancels_the_future() {
    let (task, ends) = counting(5);
    assert!(matches!(join_or_stop(SECOND, task).await, Ok(None)));
    assert_eq!(tasks(), 0, "it has ended when the call returns");
    sleep(60 * SECOND).await;
    assert_eq!(ends.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn resilience4j_the_error_of_the_call_and_the_timeout_are_told_apart() {
    let missing = fetch_within(SECOND, "/missing").await;
    assert!(matches!(missing, Err(FetchError::NotFound(page)) if page == "/missing"));
    let busy = fetch_within(SECOND, "/busy").await;
    assert!(matches!(busy, Err(FetchError::Gateway)));
    let slow = fetch_within(SECOND / 10, "/slow").await;
    assert!(matches!(slow, Err(FetchError::TooLate(_))));
    let quick = fetch_within(SECOND, "/quick").await;
    assert!(matches!(quick, Ok(text) if text == "the page /quick"));
}
