use futures::FutureExt;
use tokio::{sync::mpsc, task::coop::consume_budget};

#[tokio::test]
async fn consume_budget_steps_aside_now_and_then() {
    let mut portions = 0;
    let work = async {
        while portions < 1000 {
            portions += 1;
            consume_budget().await;
        }
    };
    assert!(futures::poll!(Box::pin(work)).is_pending());
    assert!(portions > 1);
}

#[tokio::test]
async fn a_channel_that_is_full_steps_aside_too() {
    let (sender, mut receiver) = mpsc::channel(1000);
    (0..1000).for_each(|item| sender.try_send(item).expect("there is room"));
    let work = async { while receiver.recv().await.is_some() {} };
    drop(sender);
    assert!(futures::poll!(Box::pin(work)).is_pending());
}

/// The second trap.
#[tokio::test]
async fn a_loop_without_an_await_gets_128_items() {
    let (sender, mut receiver) = mpsc::channel(1000);
    (0..1000).for_each(|item| sender.try_send(item).expect("there is room"));
    let mut received = 0;
    while let Some(Some(_)) = receiver.recv().now_or_never() {
        received += 1;
    }
    assert_eq!(received, 128);
    while receiver.try_recv().is_ok() {
        received += 1;
    }
    assert_eq!(received, 1000);
}
