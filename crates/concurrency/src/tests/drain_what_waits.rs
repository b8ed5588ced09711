use tokio::sync::mpsc;

use crate::drain_what_waits::take_waiting;

#[tokio::test]
async fn a_limit_of_0_looks_like_the_end() {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    sender.send(1).expect("the receiver is there");
    let mut batch = Vec::new();
    assert_eq!(receiver.recv_many(&mut batch, 0).await, 0);
    assert_eq!(receiver.recv_many(&mut batch, 1).await, 1);
}

#[test]
fn take_waiting_tells_an_empty_queue_from_the_end() {
    for number in [0, 1, 31, 129, 1000] {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        (0..number).for_each(|row| sender.send(row).expect("it is open"));
        assert_eq!(take_waiting(&mut receiver), ((0..number).collect(), true));
        assert_eq!(take_waiting(&mut receiver), (Vec::new(), true));
        (0..number).for_each(|row| sender.send(row).expect("it is open"));
        drop(sender);
        assert_eq!(take_waiting(&mut receiver), ((0..number).collect(), false));
    }
}

#[tokio::test]
async fn recv_many_appends_to_its_buffer() {
    let (sender, mut receiver) = mpsc::channel(4);
    let mut batch = Vec::new();
    for number in [1, 2] {
        assert!(sender.send(number).await.is_ok());
        assert_eq!(receiver.recv_many(&mut batch, 4).await, 1);
    }
    assert_eq!(batch, [1, 2]);
}
