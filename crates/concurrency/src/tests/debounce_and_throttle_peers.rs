//! Cases after the tests of lodash's `debounce` and `throttle`, and of tokio-stream's
//! `throttle`.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::debounce_and_throttle::{Debounce, Throttle};

const MILLI: Duration = Duration::from_millis(1);

/// Sends an event at each of these milliseconds: its number, from 1.
fn events(at: &'static [u32]) -> mpsc::Receiver<usize> {
    let (sender, receiver) = mpsc::channel(100);
    let start = Instant::now();
    tokio::spawn(async move {
        for (number, at) in at.iter().enumerate() {
            tokio::time::sleep_until(start + *at * MILLI).await;
            sender.send(number + 1).await.expect("it is received");
        }
    });
    receiver
}

/// Returns what is returned, and at which millisecond.
async fn debounced(at: &'static [u32], quiet: u32, at_most: u32) -> Vec<(usize, u128)> {
    let (start, mut returned) = (Instant::now(), Vec::new());
    let mut debounce = Debounce::new(events(at), quiet * MILLI, at_most * MILLI);
    while let Some(event) = debounce.next().await {
        returned.push((event, start.elapsed().as_millis()));
    }
    returned
}

async fn throttled(at: &'static [u32], interval: u32) -> Vec<(usize, u128)> {
    let (start, mut returned) = (Instant::now(), Vec::new());
    let mut throttle = Throttle::new(events(at), interval * MILLI);
    while let Some(event) = throttle.next().await {
        returned.push((event, start.elapsed().as_millis()));
    }
    returned
}

#[tokio::test(start_paused = true)]
async fn lodash_debounce_returns_the_last_of_a_burst() {
    assert_eq!(debounced(&[0, 0, 0, 500], 32, 9999).await[0], (3, 32));
}

#[tokio::test(start_paused = true)]
async fn lodash_debounce_each_event_starts_the_wait_again() {
    let returned = debounced(&[0, 20, 40, 60, 500], 32, 9999).await;
    assert_eq!(returned[0], (4, 92));
}

#[tokio::test(start_paused = true)]
async fn lodash_debounce_two_bursts_are_two_events() {
    let returned = debounced(&[0, 10, 100, 110, 500], 32, 9999).await;
    assert_eq!(returned[..2], [(2, 42), (4, 142)]);
}

#[tokio::test(start_paused = true)]
async fn lodash_debounce_of_zero_returns_each_event_that_comes_alone() {
    let returned = debounced(&[0, 10, 20], 0, 9999).await;
    assert_eq!(returned, [(1, 0), (2, 10), (3, 20)]);
}

#[tokio::test(start_paused = true)]
async fn lodash_debounce_max_wait_limits_the_delay() {
    let returned = debounced(&[0, 10, 20, 30, 40, 50, 60, 70], 32, 35).await;
    assert_eq!(returned[0], (4, 35));
}

#[tokio::test(start_paused = true)]
async fn lodash_debounce_max_wait_starts_again_with_the_next_event() {
    let at = &[0, 10, 20, 30, 40, 50, 60, 70, 80, 500];
    let returned = debounced(at, 32, 35).await;
    // The fifth, at 40 ms, is the first of the second wait.
    assert_eq!(returned[..2], [(4, 35), (8, 75)]);
}

#[tokio::test(start_paused = true)]
async fn lodash_debounce_a_max_wait_below_the_wait_is_what_counts() {
    assert_eq!(debounced(&[0, 500], 100, 20).await[0], (1, 20));
}

#[tokio::test(start_paused = true)]
async fn lodash_debounce_is_flushed_at_the_end() {
    assert_eq!(debounced(&[0, 10], 1000, 9999).await, [(2, 10)]);
}

#[tokio::test(start_paused = true)]
async fn lodash_debounce_dropped_it_returns_nothing_more() {
    let (sender, receiver) = mpsc::channel(10);
    let mut debounce = Debounce::new(receiver, 32 * MILLI, 9999 * MILLI);
    sender.send(1).await.expect("there is room");
    assert!(timeout(10 * MILLI, debounce.next()).await.is_err());
    drop(debounce);
    assert!(sender.send(2).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn lodash_debounce_has_no_leading_edge_differs() {
    let mut debounce = Debounce::new(events(&[0, 500]), 32 * MILLI, 9999 * MILLI);
    assert!(timeout(31 * MILLI, debounce.next()).await.is_err());
    assert_eq!(debounce.next().await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn lodash_throttle_returns_the_first_event_immediately() {
    assert_eq!(throttled(&[5, 500], 32).await[0], (1, 5));
}

#[tokio::test(start_paused = true)]
async fn lodash_throttle_returns_the_newest_at_the_end_of_the_interval() {
    let returned = throttled(&[0, 10, 20, 30, 500], 32).await;
    assert_eq!(returned, [(1, 0), (4, 32), (5, 500)]);
}

#[tokio::test(start_paused = true)]
async fn lodash_throttle_never_returns_two_within_an_interval() {
    let at = &[0, 7, 14, 21, 28, 35, 42, 49, 56, 63, 70, 77, 84, 91, 98];
    let returned = throttled(at, 32).await;
    let moments: Vec<_> = returned.iter().map(|(_, at)| *at).collect();
    assert!(moments.windows(2).all(|pair| pair[1] - pair[0] >= 32));
    assert_eq!(returned.last(), Some(&(15, 128)));
}

#[tokio::test(start_paused = true)]
async fn lodash_throttle_one_event_is_returned_once() {
    assert_eq!(throttled(&[0], 32).await, [(1, 0)]);
}

#[tokio::test(start_paused = true)]
async fn lodash_throttle_after_a_pause_it_is_immediate_again() {
    assert_eq!(throttled(&[0, 100], 32).await, [(1, 0), (2, 100)]);
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_throttle_drops_what_it_holds_back_differs() {
    // tokio-stream returns each item, a duration apart.
    assert_eq!(throttled(&[0, 1, 2, 3], 10).await, [(1, 0), (4, 10)]);
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_throttle_with_an_interval_of_zero() {
    assert_eq!(throttled(&[0, 1, 2], 0).await, [(1, 0), (2, 1), (3, 2)]);
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_throttle_a_slow_reader_gets_the_newest() {
    let mut throttle = Throttle::new(events(&[0, 1, 2, 3, 500]), 10 * MILLI);
    sleep(50 * MILLI).await;
    assert_eq!(throttle.next().await, Some(4));
}
