use std::future::Ready;
use std::iter::empty;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::support::poll_and_drop;
use crate::first_completed::{Failure, first_completed, first_success};

#[tokio::test]
async fn of_nothing_nothing_completes() {
    assert!(first_completed(empty::<Ready<u32>>()).await.is_none());
    let errors = first_success(empty::<Ready<Result<u32, Failure>>>()).await;
    assert_eq!(errors.expect_err("no success").len(), 0);
}

#[tokio::test]
async fn a_panic_is_one_of_the_errors() {
    let errors = first_success([1, 2].map(async |bug| {
        assert_eq!(bug, 1, "a bug");
        Err::<u32, Failure>("no luck".into())
    }));
    assert_eq!(errors.await.expect_err("no success").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn dropped_while_it_waits_it_stops_all() {
    for polls in 1..5 {
        let held = Arc::new(());
        let tasks = [1, 2].map(|_| {
            let held = Arc::clone(&held);
            async move {
                sleep(Duration::from_secs(1)).await;
                drop(held);
            }
        });
        assert!(poll_and_drop(first_completed(tasks), polls).await.is_none());
        let all_gone = async {
            while Arc::strong_count(&held) > 1 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let soon = Duration::from_millis(10);
        assert!(timeout(soon, all_gone).await.is_ok());
    }
}
