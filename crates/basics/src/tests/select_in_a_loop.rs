//! What a branch loses when another one is ready first.

use std::pin::pin;
use std::time::Duration;

use futures::poll;
use tokio::select;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

const TICK: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn a_dropped_recv_loses_nothing_and_a_future_that_awaits_more_loses_its_item() {
    let (sender, mut readings) = mpsc::channel(2);
    {
        let mut recv = pin!(readings.recv());
        assert!(poll!(recv.as_mut()).is_pending());
        // It is woken, and dropped before it is polled again.
        sender.send(1).await.expect("there is room");
    }
    assert_eq!(readings.recv().await, Some(1));

    sender.send(2).await.expect("there is room");
    let receive_and_store = async {
        let reading = readings.recv().await;
        sleep(10 * TICK).await;
        reading
    };
    select! {
        _ = receive_and_store => unreachable!("it takes longer"),
        () = sleep(TICK) => {}
    }
    drop(sender);
    assert_eq!(readings.recv().await, None, "2 is lost");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_send_loses_its_item_and_a_dropped_reserve_has_none() {
    let (sender, mut readings) = mpsc::channel(1);
    sender.send(1).await.expect("there is room");
    assert!(timeout(TICK, sender.send(2)).await.is_err(), "it is full");
    assert_eq!(readings.recv().await, Some(1));
    assert!(readings.try_recv().is_err(), "2 is lost");

    sender.send(3).await.expect("there is room");
    let item = 4;
    assert!(timeout(TICK, sender.reserve()).await.is_err(), "it is full");
    assert_eq!(readings.recv().await, Some(3));
    sender.reserve().await.expect("it is open").send(item);
    assert_eq!(readings.recv().await, Some(4));
}
