//! Which call wins, and when the other one is dropped.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::time::{Instant, sleep};

use crate::race::race_tasks;

#[tokio::test(start_paused = true)]
async fn the_quicker_call_wins() {
    let start = Instant::now();
    assert_eq!(race_tasks().await, "Data from http://fast.com");
    assert_eq!(start.elapsed(), Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn the_loser_is_dropped_before_the_winner_is_used() {
    let held = Arc::new(());
    let loser = {
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            pending::<usize>().await
        }
    };
    let count = select! {
        count = loser => count,
        () = sleep(Duration::from_secs(1)) => Arc::strong_count(&held),
    };
    assert_eq!(count, 1);
}
