use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::support::tasks;
use crate::pipeline::pipeline;

const TICK: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn after_a_stage_has_failed_the_others_have_ended() {
    // The last stage still works, and items wait in both queues.
    let texts = &["1", "2", "3", "4", "5", "x", "7", "8", "9"];
    let before = tasks();
    let failed = pipeline(texts).await;
    assert_eq!(failed, Err("x is not a number".to_owned()));
    assert_eq!(tasks(), before);
}

#[tokio::test(start_paused = true)]
async fn the_slowest_stage_sets_the_pace_of_all() {
    let start = Instant::now();
    assert_eq!(pipeline(&["1"; 100]).await, Ok(()));
    // The first number comes after 0.15 s, then one is stored every 0.4 s.
    assert_eq!(start.elapsed(), (150 + 100 * 400) * TICK);
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_time_it_leaves_no_task() {
    let before = tasks();
    for ticks in (0..1_400).step_by(25) {
        let ended = timeout(ticks * TICK, pipeline(&["1", "2", "3"])).await;
        sleep(TICK).await;
        assert_eq!(tasks(), before, "{ticks}");
        assert_eq!(ended.is_ok(), ticks > 1_350, "{ticks}");
    }
}
