//! The steps with a token that is cancelled by hand, as `main` waits for a second.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn each_task_finishes_its_piece_of_work() {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    for number in 1..=10 {
        let stop = stop.clone();
        tasks.spawn(async move {
            while !stop.is_cancelled() {
                sleep(SECOND * number).await;
            }
        });
    }
    sleep(SECOND / 2).await;
    let start = Instant::now();
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    assert_eq!(start.elapsed(), SECOND * 19 / 2, "the longest piece");
}

/// The trap.
#[tokio::test(start_paused = true)]
async fn without_close_the_wait_never_ends() {
    let tasks = TaskTracker::new();
    tasks.spawn(async {});
    assert!(timeout(3_600 * SECOND, tasks.wait()).await.is_err());
    tasks.close();
    assert!(timeout(SECOND, tasks.wait()).await.is_ok());
}
