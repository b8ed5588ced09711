//! Further cases after the tests of Go's weighted `semaphore` and of deadpool.

use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, sleep, timeout};

use crate::resizable_limit::ResizableLimit;

const SECOND: Duration = Duration::from_secs(1);

/// How many calls of weight 1 get a permit without a wait.
fn free(limit: &ResizableLimit) -> usize {
    let permits = std::iter::from_fn(|| limit.acquire(1).now_or_never());
    permits.take(100).collect::<Vec<_>>().len()
}

#[tokio::test(start_paused = true)]
async fn go_with_all_taken_the_next_waits() {
    let limit = ResizableLimit::new(2);
    let all = limit.acquire(2).await;
    assert_eq!(free(&limit), 0);
    drop(all);
    assert_eq!(free(&limit), 2);
}

#[tokio::test(start_paused = true)]
async fn go_a_release_wakes_as_many_as_fit() {
    let (limit, start) = (ResizableLimit::new(3), Instant::now());
    let call = async |weight, seconds: u32| {
        let _permits = limit.acquire(weight).await;
        let began = start.elapsed().as_secs();
        sleep(seconds * SECOND).await;
        began
    };
    let began = tokio::join!(call(3, 1), call(1, 9), call(1, 9), call(1, 9), call(1, 9));
    assert_eq!(began, (0, 1, 1, 1, 10));
}

#[tokio::test(start_paused = true)]
async fn go_a_cancelled_wait_takes_nothing() {
    let limit = ResizableLimit::new(2);
    let one = limit.acquire(1).await;
    for _ in 0..9 {
        assert!(timeout(SECOND, limit.acquire(2)).await.is_err());
    }
    assert_eq!(free(&limit), 1);
    drop(one);
    assert_eq!(free(&limit), 2);
}

#[tokio::test(start_paused = true)]
async fn go_a_weight_above_the_limit_holds_up_the_others_differs() {
    let limit = ResizableLimit::new(2);
    let mut large = Box::pin(limit.acquire(3));
    assert!(large.as_mut().now_or_never().is_none());
    assert_eq!(free(&limit), 0);
    drop(large);
    assert_eq!(free(&limit), 2);
}

#[tokio::test(start_paused = true)]
async fn deadpool_grown_it_serves_a_waiter_immediately() {
    let limit = ResizableLimit::new(1);
    let _first = limit.acquire(1).await;
    let mut second = Box::pin(limit.acquire(1));
    assert!(second.as_mut().now_or_never().is_none());
    limit.resize(2);
    assert!(second.now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn deadpool_shrunk_it_waits_for_the_holders() {
    let limit = ResizableLimit::new(2);
    let (first, second) = (limit.acquire(1).await, limit.acquire(1).await);
    limit.resize(1);
    assert_eq!(free(&limit), 0);
    drop(first);
    assert_eq!(free(&limit), 0);
    drop(second);
    assert_eq!(free(&limit), 1);
}

#[tokio::test(start_paused = true)]
async fn deadpool_shrunk_and_grown_while_all_is_taken() {
    let limit = ResizableLimit::new(3);
    let all = limit.acquire(3).await;
    limit.resize(1);
    limit.resize(2);
    drop(all);
    assert_eq!(free(&limit), 2);
}

#[tokio::test(start_paused = true)]
async fn deadpool_resized_to_the_same_size_nothing_changes() {
    let limit = ResizableLimit::new(2);
    let one = limit.acquire(1).await;
    for _ in 0..9 {
        limit.resize(2);
    }
    assert_eq!(free(&limit), 1);
    drop(one);
    assert_eq!(free(&limit), 2);
}

#[tokio::test(start_paused = true)]
async fn deadpool_grown_by_one_it_serves_one_of_two_waiters() {
    let limit = ResizableLimit::new(0);
    let mut first = Box::pin(limit.acquire(1));
    let mut second = Box::pin(limit.acquire(1));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(second.as_mut().now_or_never().is_none());
    limit.resize(1);
    assert!(second.as_mut().now_or_never().is_none());
    let permit = first.now_or_never().expect("it is the first");
    assert!(second.as_mut().now_or_never().is_none());
    drop(permit);
    assert!(second.now_or_never().is_some());
}
