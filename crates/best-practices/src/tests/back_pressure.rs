use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use crate::back_pressure::{
    CAPACITY, Report, bounded, newest_dropped, oldest_dropped, unbounded,
};

#[tokio::test(start_paused = true)]
async fn only_without_a_limit_more_wait_when_there_are_more() {
    for count in [0, 1, 2, 70, 700] {
        let Report {
            stored,
            dropped,
            waited,
        } = unbounded(count).await;
        assert_eq!((stored, dropped), (count, 0));
        // Five of seven come while the stage stores two.
        assert!(waited.abs_diff(count * 5 / 7) <= 1, "{waited}");

        let Report {
            stored,
            dropped,
            waited,
        } = bounded(count).await;
        assert_eq!((stored, dropped), (count, 0));
        assert_eq!(waited, CAPACITY.min(count.saturating_sub(1)));

        let newest = newest_dropped(count).await;
        let oldest = oldest_dropped(count).await;
        for Report {
            stored,
            dropped,
            waited,
        } in [newest, oldest]
        {
            assert_eq!(stored + dropped, count);
            let most = CAPACITY.next_power_of_two();
            assert!(waited <= most);
            assert!(count < 70 || stored < count * 2 / 7 + 2 + most, "{stored}");
        }
    }
}

#[test]
fn broadcast_rounds_up_to_a_power_of_two() {
    let (queue, mut receiver) = broadcast::channel(3);
    for number in 0..10 {
        queue.send(number).expect("there is a receiver");
    }
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Lagged(6)));
    assert_eq!(receiver.try_recv(), Ok(6));
}
