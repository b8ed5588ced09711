//! Further cases after the tests of async-timeout, resilience4j and tower.

use std::cell::Cell;
use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::deadlines::{Deadline, DeadlineExceeded};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn async_timeout_a_call_that_ends_in_time_returns_its_value() {
    let deadline = Deadline::after(SECOND);
    let call = async {
        sleep(SECOND / 2).await;
        7
    };
    assert_eq!(deadline.run(call).await, Ok(7));
    assert_eq!(deadline.remaining(), SECOND / 2);
}

#[tokio::test(start_paused = true)]
async fn async_timeout_after_it_has_expired_nothing_remains() {
    let (deadline, start) = (Deadline::after(SECOND), Instant::now());
    assert_eq!(deadline.run(sleep(5 * SECOND)).await, Err(DeadlineExceeded));
    assert_eq!(
        (deadline.remaining(), start.elapsed()),
        (Duration::ZERO, SECOND)
    );
}

#[tokio::test(start_paused = true)]
async fn async_timeout_a_limit_of_zero_begins_no_call() {
    let begun = Cell::new(false);
    let call = async { begun.set(true) };
    assert!(Deadline::after(Duration::ZERO).run(call).await.is_err());
    assert!(!begun.get());
}

#[tokio::test(start_paused = true)]
async fn async_timeout_none_is_a_limit_that_never_comes() {
    let year = 86_400 * 365 * SECOND;
    assert_eq!(
        Deadline::after(Duration::MAX).run(sleep(year)).await,
        Ok(())
    );
}

#[tokio::test(start_paused = true)]
async fn async_timeout_moved_later_a_running_call_has_more_time() {
    let deadline = Deadline::after(SECOND);
    let shift = async {
        sleep(SECOND / 2).await;
        deadline.reschedule(10 * SECOND);
    };
    let call = deadline.run(sleep(5 * SECOND));
    assert_eq!(tokio::join!(call, shift).0, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn async_timeout_moved_sooner_a_running_call_has_less_time() {
    let (deadline, start) = (Deadline::after(60 * SECOND), Instant::now());
    let shift = async {
        sleep(SECOND).await;
        deadline.reschedule(SECOND);
    };
    let call = deadline.run(sleep(50 * SECOND));
    assert_eq!(tokio::join!(call, shift).0, Err(DeadlineExceeded));
    assert_eq!(start.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn async_timeout_the_callers_task_is_not_cancelled() {
    let task = tokio::spawn(async {
        let late = Deadline::after(SECOND).run(pending::<()>()).await;
        sleep(SECOND).await;
        late
    });
    let late = task.await.expect("it was not aborted");
    assert_eq!(late, Err(DeadlineExceeded));
}

#[tokio::test(start_paused = true)]
async fn async_timeout_an_error_of_the_call_is_no_timeout() {
    let deadline = Deadline::after(SECOND);
    let call = async { "seven".parse::<u32>() };
    assert!(matches!(deadline.run(call).await, Ok(Err(_))));
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_caller_that_is_dropped_drops_its_call() {
    let (deadline, ended) = (Deadline::after(60 * SECOND), Cell::new(false));
    let call = deadline.run(async {
        sleep(5 * SECOND).await;
        ended.set(true);
    });
    assert!(timeout(SECOND, call).await.is_err());
    sleep(60 * SECOND).await;
    assert!(!ended.get());
}
