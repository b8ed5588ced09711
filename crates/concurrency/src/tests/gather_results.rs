//! What the header says of `join_all`.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use crate::gather_results::fetch_data;

#[tokio::test(start_paused = true)]
async fn results_come_in_the_order_of_the_list_after_the_longest_call() {
    for number in [0, 1, 31, 129, 1000] {
        let start = Instant::now();
        // The last call is the quickest.
        let calls = (0..number).map(|id| fetch_data(id, u64::from(number - id)));
        let results = join_all(calls).await;
        let expected = (0..number).map(|id| format!("Data {id}"));
        assert!(results.into_iter().eq(expected));
        let longest = Duration::from_millis(number.into());
        assert_eq!(start.elapsed(), longest, "of {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_caller_cancels_the_calls() {
    let held = Arc::new(());
    let calls = [1, 2].map(|seconds| {
        let held = Arc::clone(&held);
        async move {
            sleep(Duration::from_secs(seconds)).await;
            drop(held);
        }
    });
    assert!(
        timeout(Duration::from_millis(1), join_all(calls))
            .await
            .is_err()
    );
    assert_eq!(Arc::strong_count(&held), 1);
}
