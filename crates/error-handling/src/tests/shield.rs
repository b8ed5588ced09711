//! What happens to the work when its caller is cancelled.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::shield::handle_request;

#[tokio::test(start_paused = true)]
async fn the_work_goes_on_and_is_awaited() {
    let start = Instant::now();
    let shielded = TaskTracker::new();
    let request = handle_request(shielded.clone());
    assert!(timeout(Duration::from_millis(100), request).await.is_err());
    assert_eq!(shielded.len(), 1);
    shielded.close();
    shielded.wait().await;
    assert_eq!(start.elapsed(), Duration::from_millis(300));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_stays_waits_for_the_work() {
    let start = Instant::now();
    assert!(handle_request(TaskTracker::new()).await.is_ok());
    assert_eq!(start.elapsed(), Duration::from_millis(300));
}
