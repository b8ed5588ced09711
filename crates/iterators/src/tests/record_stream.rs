use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant;

use super::support::SIZES;
use crate::record_stream::record_stream;

#[tokio::test(start_paused = true)]
async fn any_number_of_rows() {
    for size in SIZES {
        let records = tokio::spawn(record_stream(size).collect::<Vec<_>>());
        let records = records.await.expect("no panic");
        assert!(records.iter().map(|(row, _)| *row).eq(0..size));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_in_advance() {
    let start = Instant::now();
    assert_eq!(record_stream(1000).take(2).count().await, 2);
    assert_eq!(start.elapsed(), Duration::from_millis(200));
}
