use std::time::Duration;
use tokio_util::task::TaskTracker;

use tokio::time::timeout;

#[tokio::test(start_paused = true)]
async fn a_tracker_that_is_not_closed_is_waited_for_in_vain() {
    let tasks = TaskTracker::new();
    let task = tasks.spawn(async {});
    task.await.expect("the task does not fail");
    let limit = Duration::from_secs(3600);
    assert!(timeout(limit, tasks.wait()).await.is_err());
    tasks.close();
    assert!(timeout(limit, tasks.wait()).await.is_ok());
}
