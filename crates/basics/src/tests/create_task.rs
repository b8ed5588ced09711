use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::create_task::calculate;

#[tokio::test(start_paused = true)]
async fn a_task_runs_before_it_is_awaited() {
    let task = tokio::spawn(calculate(2, 2));
    sleep(Duration::from_secs(2)).await;
    let start = Instant::now();
    assert_eq!(task.await.expect("no panic"), 4);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_of_the_handle() {
    let task = tokio::spawn(calculate(i32::MAX, 1));
    assert!(task.await.is_err_and(|error| error.is_panic()));
}
