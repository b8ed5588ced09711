use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::gather_errors::gather_all;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::test(start_paused = true)]
async fn dropped_it_aborts_the_tasks() {
    let held = Arc::new(());
    let futures = [1, 2].map(|_| {
        let held = Arc::clone(&held);
        async move {
            sleep(Duration::from_secs(60)).await;
            drop(held);
            Ok::<(), Failure>(())
        }
    });
    let limit = Duration::from_secs(1);
    assert!(timeout(limit, gather_all(futures)).await.is_err());
    sleep(limit).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test]
async fn of_nothing_nothing() {
    let none: [std::future::Ready<Result<(), Failure>>; 0] = [];
    assert_eq!(gather_all(none).await.len(), 0);
}

#[tokio::test]
async fn any_error_has_room_for_a_panic() {
    let job = async {
        assert_eq!(1, 2, "a bug");
        Ok::<(), Failure>(())
    };
    let results = tokio::spawn(gather_all([job])).await.expect("it is caught");
    let error = results[0].as_ref().expect_err("it panicked");
    assert!(error.to_string().contains("a bug"), "{error}");
}
