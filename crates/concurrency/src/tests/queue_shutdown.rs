use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

#[tokio::test]
async fn an_item_that_has_its_place_comes_after_the_close() {
    let (sender, mut receiver) = mpsc::channel(1);
    let place = sender.reserve().await.expect("the receiver is there");
    receiver.close();
    assert!(receiver.try_recv().is_err());
    place.send(7);
    assert_eq!(receiver.recv().await, Some(7));
    assert_eq!(receiver.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_kept_keeps_the_receiver_waiting() {
    let (sender, mut receiver) = mpsc::channel::<u32>(1);
    let place = sender.reserve().await.expect("the receiver is there");
    receiver.close();
    let hour = timeout(Duration::from_secs(3600), receiver.recv()).await;
    hour.expect_err("an item could still come");
    drop(place);
    assert_eq!(receiver.recv().await, None);
}

/// The item is dropped with the last sender, and nobody learns of it.
#[tokio::test]
async fn a_permit_sends_into_a_channel_without_a_receiver() {
    let (sender, receiver) = mpsc::channel(1);
    let place = sender.clone().reserve_owned().await.expect("it is there");
    drop(receiver);
    assert!(sender.send(Arc::new(0)).await.is_err());
    let item = Arc::new(1);
    drop(place.send(Arc::clone(&item)));
    assert_eq!(Arc::strong_count(&item), 2);
    drop(sender);
    assert_eq!(Arc::strong_count(&item), 1);
}

#[tokio::test]
async fn a_send_that_waits_for_a_place_is_refused_by_the_close() {
    let (sender, mut receiver) = mpsc::channel(1);
    assert!(sender.send(1).await.is_ok());
    let mut waits = Box::pin(sender.send(2));
    assert!(futures::poll!(&mut waits).is_pending());
    receiver.close();
    assert!(waits.await.is_err());
    // The sender is there, and does not keep the receiver waiting.
    assert_eq!(
        (receiver.recv().await, receiver.recv().await),
        (Some(1), None)
    );
}

/// The second trap. With `close` instead, all of them end.
#[tokio::test(start_paused = true)]
async fn a_sentinel_ends_one_consumer_and_put_back_it_stays_in_the_queue() {
    const STOP: u32 = 0;
    let hour = Duration::from_secs(3600);
    for puts_back in [false, true] {
        let (sender, receiver) = async_channel::unbounded();
        sender.send(STOP).await.expect("it is open");
        let consumers: JoinSet<_> = (0..3)
            .map(|_| {
                let (sender, receiver) = (sender.clone(), receiver.clone());
                async move {
                    while receiver.recv().await.expect("it is open") != STOP {}
                    if puts_back {
                        sender.send(STOP).await.expect("it is open");
                    }
                }
            })
            .collect();
        let ended = timeout(hour, consumers.join_all()).await;
        assert_eq!(ended.is_ok(), puts_back);
        assert_eq!(receiver.len(), usize::from(puts_back));
    }
}
