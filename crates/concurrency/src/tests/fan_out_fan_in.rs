use std::time::Duration;

use tokio::time::timeout;

use crate::fan_out_fan_in::{fan_out, start_workers};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn handing_out_before_reading_hangs() {
    let (workers, _results, _tasks) = start_workers();
    let all = vec![(2, 1); 10];
    assert!(timeout(HOUR, fan_out(all, workers)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn all_end_when_the_reader_has_left() {
    let (workers, results, mut tasks) = start_workers();
    tasks.spawn(fan_out(
        vec![(1, 1), (2, 1), (1, 1), (2, 1), (1, 1)],
        workers,
    ));
    drop(results);
    // In the time of one event, not of three.
    let soon = Duration::from_millis(300);
    assert!(timeout(soon, tasks.join_all()).await.is_ok());
}
