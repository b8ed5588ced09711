//! What several tests of this section need. A copy takes the whole file.
#![allow(dead_code, reason = "not every copy needs all of it")]

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::sleep;

/// Polls the future at most `polls` times, a millisecond apart, and drops it if it is
/// not ready then.
pub async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
            return Some(output);
        }
        sleep(Duration::from_millis(1)).await;
    }
    None
}
