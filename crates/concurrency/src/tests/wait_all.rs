//! No outcome hides another one.

use std::future::pending;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::wait_all::describe;

#[tokio::test(start_paused = true)]
async fn after_an_error_a_panic_and_an_abort_the_others_are_told() {
    let start = Instant::now();
    let fails = tokio::spawn(async { Err("no data".to_string()) });
    let panics = tokio::spawn(async { panic!("a bug") });
    let aborted = tokio::spawn(pending());
    aborted.abort();
    let ends = tokio::spawn(async {
        sleep(Duration::from_secs(1)).await;
        Ok("completed".to_string())
    });
    let done = join_all([fails, panics, aborted, ends]).await;
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    let texts: Vec<String> = done.into_iter().map(describe).collect();
    assert_eq!((&*texts[0], &*texts[3]), ("Error: no data", "completed"));
    assert!(texts[1].starts_with("Stopped: ") && texts[1].contains("a bug"));
    assert!(texts[2].starts_with("Stopped: ") && texts[2].contains("cancelled"));
}

#[tokio::test(start_paused = true)]
async fn if_the_caller_is_cancelled_the_tasks_keep_running() {
    let second = Duration::from_secs(1);
    let (tell, told) = oneshot::channel();
    let task = tokio::spawn(async move {
        sleep(2 * second).await;
        tell.send(7)
    });
    assert!(timeout(second, join_all([task])).await.is_err());
    assert_eq!(timeout(2 * second, told).await, Ok(Ok(7)));
}
