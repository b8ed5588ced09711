use std::time::Duration;
use tokio::time::sleep;

use std::thread;

#[tokio::test]
async fn abort_does_not_end_blocking_work() {
    let work = || thread::sleep(Duration::from_millis(100));
    let task = tokio::task::spawn_blocking(work);
    sleep(Duration::from_millis(50)).await;
    task.abort();
    assert!(task.await.is_ok());
}
