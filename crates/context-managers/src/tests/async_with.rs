//! The disconnect is awaited after an error.

use std::time::Duration;

use tokio::time::Instant;

use crate::async_with;

#[tokio::test(start_paused = true)]
async fn an_error_does_not_skip_the_disconnect() {
    let start = Instant::now();
    assert_eq!(async_with::query_users().await, Err("syntax error"));
    // One second to connect, two queries of 0.5 s, one second to disconnect.
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}
