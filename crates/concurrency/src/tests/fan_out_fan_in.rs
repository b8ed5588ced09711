use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::fan_out_fan_in::{Payment, fan_out, start_workers};

const HOUR: Duration = Duration::from_secs(3600);

fn payment(account: usize) -> Payment {
    Payment { account, amount: 1 }
}

#[tokio::test(start_paused = true)]
async fn handing_out_before_reading_hangs() {
    let mut tasks = JoinSet::new();
    let (workers, _outcomes) = start_workers(2, &mut tasks);
    let all = vec![payment(2); 10];
    assert!(timeout(HOUR, fan_out(all, workers)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn all_end_when_the_reader_has_left() {
    let mut tasks = JoinSet::new();
    let (workers, outcomes) = start_workers(2, &mut tasks);
    let all = [1, 2, 1, 2, 1].map(payment);
    tasks.spawn(fan_out(all.into(), workers));
    drop(outcomes);
    // In the time of one event, not of three.
    let soon = Duration::from_millis(300);
    assert!(timeout(soon, tasks.join_all()).await.is_ok());
}
