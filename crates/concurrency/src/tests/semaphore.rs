use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::semaphore::limited;

#[tokio::test(start_paused = true)]
async fn an_aborted_worker_gives_its_permit_back() {
    let semaphore = Arc::new(Semaphore::new(1));
    let task = tokio::spawn(limited(0, Arc::clone(&semaphore)));
    sleep(Duration::from_millis(100)).await;
    assert_eq!(semaphore.available_permits(), 0);
    task.abort();
    assert!(task.await.is_err());
    assert_eq!(semaphore.available_permits(), 1);
}

#[tokio::test]
async fn an_underscore_holds_nothing() {
    let semaphore = Semaphore::new(1);
    let _ = semaphore.acquire().await;
    assert_eq!(semaphore.available_permits(), 1);
    let _permit = semaphore.acquire().await;
    assert_eq!(semaphore.available_permits(), 0);
}
