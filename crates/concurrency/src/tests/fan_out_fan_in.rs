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

#[tokio::test(start_paused = true)]
async fn bounds_are_a_payment_in_a_worker_one_in_its_queue_and_one_outcome() {
    let mut tasks = JoinSet::new();
    let (workers, mut outcomes) = start_workers(1, &mut tasks);
    let mut sent = 0;
    while timeout(HOUR, workers[0].send(payment(2))).await.is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 3);
    // Each outcome that is read makes room for one payment.
    assert!(outcomes.recv().await.is_some());
    assert!(timeout(HOUR, workers[0].send(payment(2))).await.is_ok());
    assert!(timeout(HOUR, workers[0].send(payment(2))).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn when_the_reader_has_left_a_worker_ends_after_its_next_payment() {
    let mut tasks = JoinSet::new();
    let (workers, outcomes) = start_workers(2, &mut tasks);
    drop(outcomes);
    assert!(timeout(HOUR, tasks.join_next()).await.is_err(), "both wait");
    for account in [1, 2] {
        let sent = workers[account % 2].send(payment(account)).await;
        assert!(sent.is_ok());
        assert!(matches!(
            timeout(HOUR, tasks.join_next()).await,
            Ok(Some(Ok(())))
        ));
    }
}
