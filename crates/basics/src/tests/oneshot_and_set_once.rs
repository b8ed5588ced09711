//! What a waiter learns when nobody sets the result.

use std::time::Duration;

use tokio::sync::{SetOnce, oneshot};
use tokio::time::timeout;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_dropped_sender_is_an_error_and_a_set_once_waits_for_ever() {
    let (sender, receiver) = oneshot::channel::<u32>();
    drop(sender);
    assert!(receiver.await.is_err());
    let future = SetOnce::<u32>::new();
    assert!(timeout(MINUTE, future.wait()).await.is_err());
}
