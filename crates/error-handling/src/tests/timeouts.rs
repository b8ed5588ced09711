use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::timeouts::join_or_stop;

#[tokio::test(start_paused = true)]
async fn dropped_it_aborts_the_task() {
    let held = Arc::new(());
    let task = tokio::spawn({
        let held = Arc::clone(&held);
        async move {
            sleep(Duration::from_secs(1)).await;
            drop(held);
        }
    });
    let join = join_or_stop(Duration::from_millis(500), task);
    assert!(timeout(Duration::from_millis(100), join).await.is_err());
    sleep(Duration::from_millis(100)).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test(start_paused = true)]
async fn awaited_by_reference_it_keeps_the_call() {
    let held = Arc::new(());
    let call = {
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            pending::<()>().await;
        }
    };
    let mut limited = Box::pin(timeout(Duration::from_secs(1), call));
    assert!(limited.as_mut().await.is_err());
    assert_eq!(Arc::strong_count(&held), 2);
    drop(limited);
    assert_eq!(Arc::strong_count(&held), 1);
}
