use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
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
