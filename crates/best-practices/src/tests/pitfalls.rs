use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::sleep;

use crate::pitfalls::{jobs, save, timeout_for_both, timeout_for_work};

const COUNTS: [u32; 5] = [0, 1, 31, 129, 1000];

#[tokio::test(start_paused = true)]
async fn a_future_that_is_not_awaited_does_nothing() {
    let saved = AtomicU32::new(0);
    let forgotten = save(&saved);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(saved.load(Relaxed), 0);
    forgotten.await;
    assert_eq!(saved.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_around_the_work_alone_loses_no_job() {
    for count in COUNTS {
        let odd: Vec<_> = (1..=count).step_by(2).collect();
        let even: Vec<_> = (2..=count).step_by(2).collect();
        assert_eq!(timeout_for_work(jobs(count)).await, (odd.clone(), even));
        assert_eq!(timeout_for_both(jobs(count)).await, odd);
    }
}
