use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::select_in_a_struct::Station;

#[tokio::test(start_paused = true)]
async fn it_ends_with_its_senders_and_returns_what_was_not_reported() {
    for number in [0, 1, 31, 129, 1000] {
        let (sender, readings) = mpsc::channel(4);
        let station = tokio::spawn(Station::new(readings, Duration::from_secs(10)).run());
        let start = Instant::now();
        for _ in 0..number {
            sender.send(1).await.expect("the station runs");
        }
        drop(sender);
        assert_eq!(station.await.expect("no panic"), number);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_report_starts_the_sum_anew() {
    let (sender, readings) = mpsc::channel(4);
    let station = tokio::spawn(Station::new(readings, Duration::from_secs(1)).run());
    sender.send(5).await.expect("the station runs");
    sleep(Duration::from_millis(1500)).await;
    sender.send(2).await.expect("the station runs");
    drop(sender);
    assert_eq!(station.await.expect("no panic"), 2);
}

/// What `# Panics` says.
#[tokio::test]
#[should_panic(expected = "overflow when adding duration to instant")]
async fn a_period_beyond_the_clock_panics() {
    let (_sender, readings) = mpsc::channel(1);
    Station::new(readings, Duration::MAX);
}

#[tokio::test]
#[should_panic(expected = "`period` must be non-zero")]
async fn a_period_of_zero_panics() {
    let (_sender, readings) = mpsc::channel(1);
    Station::new(readings, Duration::ZERO);
}
