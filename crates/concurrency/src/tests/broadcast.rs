use tokio::sync::broadcast;

#[tokio::test]
async fn the_capacity_is_rounded_up_to_a_power_of_two() {
    let (sender, mut receiver) = broadcast::channel(3);
    for number in 1..=5 {
        sender.send(number).expect("somebody listens");
    }
    assert!(receiver.recv().await.is_err(), "one of five is missed");
    assert_eq!(receiver.recv().await, Ok(2), "and four are kept");
}
