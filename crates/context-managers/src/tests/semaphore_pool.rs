use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

#[tokio::test(start_paused = true)]
async fn by_hand_more_is_released_than_was_acquired() {
    let semaphore = Semaphore::new(1);
    semaphore.add_permits(1);
    assert_eq!(semaphore.available_permits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_guard_releases_once_and_can_be_kept() {
    let semaphore = Arc::new(Semaphore::new(1));
    for _ in 0..3 {
        let permit = Arc::clone(&semaphore).acquire_owned().await;
        let kept = [permit.expect("it is not closed")];
        let hour = Duration::from_secs(3600);
        assert!(timeout(hour, semaphore.acquire()).await.is_err());
        drop(kept);
        assert_eq!(semaphore.available_permits(), 1);
    }
}
