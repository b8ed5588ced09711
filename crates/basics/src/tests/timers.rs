//! The grain of the timers, on the real clock, where the wait is never shorter.

use std::time::{Duration, Instant};

use tokio::time::sleep;

#[tokio::test]
async fn short_sleeps_are_rounded_up() {
    // The first one begins in the midst of a millisecond.
    sleep(Duration::from_micros(100)).await;
    let start = Instant::now();
    for _ in 0..10 {
        sleep(Duration::from_micros(100)).await;
    }
    assert!(start.elapsed() >= Duration::from_millis(9));
}
