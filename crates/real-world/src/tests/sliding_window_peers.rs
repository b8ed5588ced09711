//! Further cases after the tests of limits, pyrate-limiter, aiolimiter and tower.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, advance, sleep};

use crate::sliding_window::{RetryAfter, SlidingWindow};

const SECOND: Duration = Duration::from_secs(1);

/// How many calls get through now.
fn passing(window: &SlidingWindow) -> usize {
    (0..100).filter(|_| window.try_acquire().is_ok()).count()
}

#[tokio::test(start_paused = true)]
async fn limits_each_hit_leaves_the_window_by_itself() {
    let window = SlidingWindow::new(5, 10 * SECOND);
    for _ in 0..5 {
        assert!(window.try_acquire().is_ok());
        advance(SECOND).await;
    }
    assert_eq!(passing(&window), 0);
    advance(5 * SECOND).await;
    for _ in 0..5 {
        assert_eq!(passing(&window), 1);
        advance(SECOND).await;
    }
    assert_eq!(passing(&window), 0);
}

#[tokio::test(start_paused = true)]
async fn limits_one_window_later_all_is_free_again() {
    let window = SlidingWindow::new(3, 60 * SECOND);
    for _ in 0..3 {
        assert_eq!(passing(&window), 3);
        advance(60 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn limits_at_the_edge_of_two_windows_no_more_than_the_limit() {
    // A fixed window would let ten through within two seconds.
    let window = SlidingWindow::new(5, 60 * SECOND);
    advance(59 * SECOND).await;
    assert_eq!(passing(&window), 5);
    advance(2 * SECOND).await;
    assert_eq!(passing(&window), 0);
    advance(58 * SECOND).await;
    assert_eq!(passing(&window), 5);
}

#[tokio::test(start_paused = true)]
async fn pyrate_the_time_of_the_oldest_hit_is_what_counts() {
    let window = SlidingWindow::new(2, 10 * SECOND);
    for _ in 0..2 {
        assert!(window.try_acquire().is_ok());
        advance(3 * SECOND).await;
    }
    assert_eq!(window.try_acquire(), Err(RetryAfter(4 * SECOND)));
    advance(4 * SECOND).await;
    assert_eq!(passing(&window), 1);
}

#[tokio::test(start_paused = true)]
async fn pyrate_waiting_calls_come_through_in_groups_of_the_limit() {
    let (window, start) = (SlidingWindow::new(3, 10 * SECOND), Instant::now());
    let calls = join_all((0..9).map(|_| window.acquire())).await;
    let seconds: Vec<_> = calls.iter().map(|at| (*at - start).as_secs()).collect();
    assert_eq!(seconds, [0, 0, 0, 10, 10, 10, 20, 20, 20]);
}

#[tokio::test(start_paused = true)]
async fn aiolimiter_after_an_idle_time_there_is_no_more_than_the_limit() {
    let window = SlidingWindow::new(5, SECOND);
    sleep(3600 * SECOND).await;
    assert_eq!(passing(&window), 5);
}

#[tokio::test(start_paused = true)]
async fn tower_a_call_may_come_exactly_one_window_after_the_first() {
    let window = SlidingWindow::new(1, SECOND);
    let first = window.acquire().await;
    assert_eq!(window.acquire().await - first, SECOND);
}
