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

#[tokio::test]
async fn a_loop_that_takes_lagged_for_the_end_stops_at_the_first_lagged() {
    let (sender, mut receiver) = broadcast::channel(2);
    for number in 1..=5 {
        assert!(sender.send(number).is_ok());
    }
    let mut seen = Vec::new();
    while let Ok(number) = receiver.recv().await {
        seen.push(number);
    }
    assert!(
        seen.is_empty(),
        "the sender is there, and two messages wait"
    );
    assert_eq!(
        (receiver.recv().await, receiver.recv().await),
        (Ok(4), Ok(5))
    );
}
