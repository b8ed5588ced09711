use std::future::pending;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

#[tokio::test]
async fn abort_does_not_end_blocking_work() {
    let work = || thread::sleep(Duration::from_millis(100));
    let task = tokio::task::spawn_blocking(work);
    sleep(Duration::from_millis(50)).await;
    task.abort();
    assert!(task.await.is_ok());
}

/// The trap. A name keeps the handle to the end of the block.
#[tokio::test]
async fn a_handle_that_aborts_does_so_immediately_without_a_name() {
    let alive = Arc::new(());
    let start = || {
        let held = Arc::clone(&alive);
        AbortOnDropHandle::new(tokio::spawn(async move {
            let _held = held;
            pending::<()>().await;
        }))
    };
    {
        let _task = start();
        yield_now().await;
        assert_eq!(Arc::strong_count(&alive), 2, "it runs");
    }
    yield_now().await;
    assert_eq!(Arc::strong_count(&alive), 1, "the block has ended");
    #[expect(clippy::let_underscore_future, reason = "it is dropped at once")]
    let _ = start();
    yield_now().await;
    assert_eq!(Arc::strong_count(&alive), 1, "it has no name");
}
