use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

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

/// The second trap. The set returns both.
#[tokio::test(start_paused = true)]
async fn a_tracker_ignores_an_error_and_a_panic_and_a_join_set_returns_both() {
    async fn fails() -> Result<(), &'static str> {
        Err("failed")
    }
    async fn panics() -> Result<(), &'static str> {
        panic!("scheduled")
    }

    let tasks = TaskTracker::new();
    drop(tasks.spawn(fails()));
    drop(tasks.spawn(panics()));
    tasks.close();
    let waited = timeout(Duration::from_secs(3600), tasks.wait()).await;
    assert_eq!(waited, Ok(()), "both have ended, and that is all it says");

    let mut set = JoinSet::new();
    set.spawn(fails());
    set.spawn(panics());
    let (mut failed, mut panicked) = (0, 0);
    while let Some(ended) = set.join_next().await {
        match ended {
            Ok(done) => failed += u32::from(done == Err("failed")),
            Err(error) => panicked += u32::from(error.is_panic()),
        }
    }
    assert_eq!((failed, panicked), (1, 1));
}
