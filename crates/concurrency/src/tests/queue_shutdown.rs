use tokio::sync::mpsc;

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
