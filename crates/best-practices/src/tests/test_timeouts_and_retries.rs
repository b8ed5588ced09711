use std::future::{pending, ready};
use std::pin::pin;
use std::thread;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, advance, pause, resume, sleep, timeout};

use crate::test_timeouts_and_retries::{SECOND, advance_in_steps, retry, settle};

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test(start_paused = true)]
async fn three_calls_that_hang() {
    let start = Instant::now();
    assert_eq!(retry(|_| pending::<Option<()>>()).await, None);
    assert_eq!(start.elapsed(), 9 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn three_calls_that_fail() {
    let start = Instant::now();
    let mut calls = Vec::new();
    let answer = retry(|number| {
        calls.push((number, start.elapsed()));
        ready(None::<()>)
    });
    assert_eq!(answer.await, None);
    assert_eq!(
        calls,
        [(1, Duration::ZERO), (2, 2 * SECOND), (3, 6 * SECOND)]
    );
    // No pause after the last one.
    assert_eq!(start.elapsed(), 6 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_call_in_the_last_moment() {
    let answer = retry(|number| async move {
        sleep(SECOND - Duration::from_millis(1)).await;
        Some(number)
    });
    assert_eq!(answer.await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn steps_are_exact_through_many_tasks() {
    let start = Instant::now();
    let task = tokio::spawn(async move {
        for _ in 0..5 {
            let inner = tokio::spawn(sleep(SECOND));
            inner.await.expect("it does not panic");
        }
        start.elapsed()
    });
    settle().await;
    advance_in_steps(5, SECOND).await;
    assert!(task.is_finished());
    assert_eq!(task.await.expect("it does not panic"), 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn some_thousand_tasks_in_a_step() {
    let tasks = [(); 5000].map(|()| tokio::spawn(sleep(SECOND)));
    settle().await;
    advance_in_steps(1, SECOND).await;
    assert!(tasks.iter().all(|task| task.is_finished()));
}

#[tokio::test(start_paused = true)]
async fn blocking_work_holds_the_clock() {
    let work = spawn_blocking(|| thread::sleep(SHORT));
    let start = Instant::now();
    assert!(timeout(SHORT / 50, work).await.is_ok());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_clock_of_std_is_another_one() {
    let (start, of_std) = (Instant::now(), std::time::Instant::now());
    sleep(3600 * SECOND).await;
    assert_eq!(start.elapsed(), 3600 * SECOND);
    assert!(of_std.elapsed() < 60 * SECOND);
}

#[tokio::test]
async fn paused_later_it_is_not_exact() {
    pause();
    let start = Instant::now();
    sleep(SECOND).await;
    let late = start.elapsed() - SECOND;
    assert!(late > Duration::ZERO && late < Duration::from_millis(2));
}

#[tokio::test(start_paused = true)]
async fn started_paused_it_is_exact() {
    let start = Instant::now();
    sleep(SECOND).await;
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn resumed_it_takes_real_time() {
    let of_std = std::time::Instant::now();
    sleep(3600 * SECOND).await;
    resume();
    sleep(SHORT).await;
    assert!((SHORT..60 * SECOND).contains(&of_std.elapsed()));
}

#[tokio::test]
#[should_panic(expected = "time is not frozen")]
async fn not_paused() {
    advance(SECOND).await;
}

#[test]
#[should_panic(expected = "`time::pause()` requires the `current_thread` Tokio runtime")]
fn paused_on_many_threads() {
    let runtime = tokio::runtime::Runtime::new().expect("there are threads");
    runtime.block_on(async { pause() });
}

/// The trap: on the paused clock a sleep of zero is ready immediately, and a loop that polls
/// with it keeps the clock from moving.
#[tokio::test(start_paused = true)]
async fn a_sleep_of_zero_stops_the_paused_clock() {
    let start = Instant::now();
    for _ in 0..100 {
        assert!(futures::poll!(pin!(sleep(Duration::ZERO))).is_ready());
    }
    let other = tokio::spawn(sleep(SHORT));
    for _ in 0..100_000 {
        sleep(Duration::ZERO).await;
    }
    assert!(!other.is_finished());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_sleep_of_zero_waits_on_the_real_clock() {
    let of_std = std::time::Instant::now();
    for _ in 0..10 {
        sleep(Duration::ZERO).await;
    }
    assert!(of_std.elapsed() > Duration::from_millis(5));
}

/// Below a millisecond the paused clock is not exact: a deadline is rounded up.
#[tokio::test(start_paused = true)]
async fn a_sleep_of_less_than_a_millisecond_takes_one() {
    let start = Instant::now();
    for _ in 0..10 {
        sleep(Duration::from_micros(100)).await;
    }
    assert_eq!(start.elapsed(), Duration::from_millis(10));
}
