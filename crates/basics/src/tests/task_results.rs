//! How to look at a finished task without losing its result.

use futures::future::FutureExt;
use tokio::sync::mpsc;
use tokio::task::{unconstrained, yield_now};

/// Receives until the task has used up its budget, and returns how often.
async fn use_up_the_budget() -> u32 {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for message in 0..1000 {
        sender.send(message).expect("the receiver is there");
    }
    let mut received = 0;
    while receiver.recv().now_or_never().is_some() {
        received += 1;
    }
    received
}

#[tokio::test]
async fn now_or_never_may_lose_the_result_of_a_finished_task() {
    let [lost, unlimited, awaited] = [1, 2, 3].map(|n| tokio::spawn(async move { n }));
    yield_now().await;
    assert!(use_up_the_budget().await < 1000);
    assert!(lost.is_finished() && unlimited.is_finished() && awaited.is_finished());
    assert!(lost.now_or_never().is_none());
    let result = unconstrained(unlimited).now_or_never().expect("finished");
    assert_eq!(result.expect("no panic"), 2);
    assert_eq!(awaited.await.expect("no panic"), 3);
}
