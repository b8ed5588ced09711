use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::timeout;

use super::support::{SIZES, unknown_size};
use crate::two_way_generator::{Averager, averages};

#[tokio::test(start_paused = true)]
async fn a_dropped_send_adds_nothing() {
    let mut averager = Averager::default();
    let sent = timeout(Duration::from_millis(50), averager.send(7)).await;
    assert!(sent.is_err());
    assert_eq!(averager, Averager::default());
    assert_eq!(averager.send(8).await, 8);
    averager.reset();
    assert_eq!(averager, Averager::default());
}

#[tokio::test(start_paused = true)]
async fn any_number_of_numbers() {
    for size in SIZES {
        let numbers = stream::iter(unknown_size((0..size).map(|_| 5)));
        let all = tokio::spawn(averages(numbers).collect::<Vec<_>>()).await;
        assert_eq!(all.expect("no panic"), vec![5; size as usize]);
    }
}
