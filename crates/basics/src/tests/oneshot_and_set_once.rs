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

/// The port of `while not future.done()`: the look takes nothing.
#[tokio::test]
async fn a_look_at_a_oneshot_takes_nothing_and_a_second_try_recv_fails() {
    let (sender, receiver) = oneshot::channel();
    assert!(receiver.is_empty());
    sender.send(42).expect("somebody waits");
    assert!(!receiver.is_empty());
    assert!(!receiver.is_empty());
    assert_eq!(receiver.await, Ok(42));

    let (sender, mut receiver) = oneshot::channel();
    sender.send(42).expect("somebody waits");
    assert_eq!(receiver.try_recv(), Ok(42));
    receiver.try_recv().expect_err("it is taken");
}
