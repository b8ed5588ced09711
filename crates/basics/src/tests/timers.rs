//! The grain of the timers, on the real clock, where the wait is never shorter.

use std::time::{Duration, Instant};

use tokio::time::{self, sleep};

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

/// The trap: one turn longer than the period.
#[tokio::test(start_paused = true)]
#[should_panic(expected = "overflow when subtracting durations")]
async fn a_period_minus_a_longer_turn_panics() {
    let (period, start) = (Duration::from_secs(1), time::Instant::now());
    sleep(2 * period).await;
    sleep(period - start.elapsed()).await;
}

#[tokio::test(start_paused = true)]
async fn a_saturating_difference_does_not_wait() {
    let (period, start) = (Duration::from_secs(1), time::Instant::now());
    sleep(2 * period).await;
    sleep(period.saturating_sub(start.elapsed())).await;
    assert!(start.elapsed() <= 2 * period + Duration::from_millis(1));
}

#[test]
#[should_panic(expected = "cannot convert float seconds to Duration: value is negative")]
fn a_negative_number_of_seconds_panics() {
    let _ = Duration::from_secs_f64(-0.5);
}
