use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::support::{SIZES, unknown_size};
use crate::fan_in::report;

#[tokio::test(start_paused = true)]
async fn any_number_of_producers() {
    for size in SIZES {
        let start = Instant::now();
        let sensors = (0..size).map(|_| ("north", 0));
        report(unknown_size(sensors)).await.expect("no panic");
        // The consumer takes 300 ms for each of three readings.
        let took = Duration::from_millis(900) * size;
        assert!(start.elapsed() >= took, "{size}");
        assert!(start.elapsed() < took + Duration::from_secs(1), "{size}");
    }
}

/// The sender of the producer that panics is dropped, and the loop continues to the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_panic_is_told_after_the_others_have_ended() {
    let sensors = [("west", 1), ("north", 2)];
    let start = Instant::now();
    let told = timeout(Duration::from_secs(60), report(sensors)).await;
    let error = told.expect("it ends").expect_err("a panic");
    assert!(error.is_panic());
    assert!(start.elapsed() >= Duration::from_millis(900));
}
