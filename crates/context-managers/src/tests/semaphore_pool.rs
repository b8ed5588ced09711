use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

const HOUR: Duration = Duration::from_secs(3600);

/// Releases its permit only if the work succeeds.
async fn release_by_hand(
    pool: &Semaphore,
    work: Result<(), &'static str>,
) -> Result<(), &'static str> {
    pool.acquire().await.expect("it is open").forget();
    work?;
    pool.add_permits(1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn by_hand_each_error_loses_a_permit_until_a_caller_waits_forever() {
    let pool = Semaphore::new(2);
    for (work, free) in [(Ok(()), 2), (Err("failed"), 1), (Err("failed"), 0)] {
        assert_eq!(release_by_hand(&pool, work).await, work);
        assert_eq!(pool.available_permits(), free);
    }
    let last = timeout(HOUR, release_by_hand(&pool, Ok(())));
    assert!(last.await.is_err());
}

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
        assert!(timeout(HOUR, semaphore.acquire()).await.is_err());
        drop(kept);
        assert_eq!(semaphore.available_permits(), 1);
    }
}
