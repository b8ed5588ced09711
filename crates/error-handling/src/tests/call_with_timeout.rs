//! How long it takes.

use std::time::Duration;

use tokio::time::Instant;

use crate::call_with_timeout::with_timeout;

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_operation_or_after_two_seconds() {
    for (seconds, waits) in [(0, 0), (1, 1), (3, 2), (u64::MAX, 2)] {
        let start = Instant::now();
        with_timeout(seconds).await;
        assert_eq!(start.elapsed(), Duration::from_secs(waits));
    }
}
