use tokio::sync::mpsc;

#[tokio::test]
async fn a_limit_of_0_looks_like_the_end() {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    sender.send(1).expect("the receiver is there");
    let mut batch = Vec::new();
    assert_eq!(receiver.recv_many(&mut batch, 0).await, 0);
    assert_eq!(receiver.recv_many(&mut batch, 1).await, 1);
}
