use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

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

/// The workers process what is in their queues, and then the queue of outcomes ends.
#[tokio::test(start_paused = true)]
async fn the_payments_of_an_account_stay_in_order_and_none_is_lost() {
    for workers in [1, 2, 7] {
        let mut tasks = JoinSet::new();
        let (senders, mut outcomes) = start_workers(workers, &mut tasks);
        let all = (0..100).map(|number| Payment {
            account: number % 5,
            amount: number as i32,
        });
        tasks.spawn(fan_out(all.collect(), senders));
        let (mut counts, mut balances) = ([0; 5], [0; 5]);
        while let Some(outcome) = timeout(HOUR, outcomes.recv()).await.expect("no hang") {
            let account = outcome.split(' ').nth(1).expect("a number");
            let account: usize = account.parse().expect("a number");
            balances[account] += account + 5 * counts[account];
            counts[account] += 1;
            assert_eq!(
                outcome,
                format!("account {account} has {}", balances[account])
            );
        }
        assert_eq!(counts, [20; 5]);
        assert!(
            timeout(HOUR, tasks.join_all()).await.is_ok(),
            "all have ended"
        );
    }
}

/// The second trap: the worker of account 2 is idle.
#[tokio::test(start_paused = true)]
async fn behind_a_full_queue_payments_for_idle_workers_wait_too() {
    let mut tasks = JoinSet::new();
    let (workers, mut outcomes) = start_workers(2, &mut tasks);
    let all = [1, 1, 1, 2].map(payment);
    tasks.spawn(fan_out(all.into(), workers));
    let start = Instant::now();
    let mut seen = Vec::new();
    while let Some(outcome) = outcomes.recv().await {
        seen.push((outcome, start.elapsed().as_millis()));
    }
    // Its own takes 100 ms, after the 250 ms in which the queue of the other is full.
    assert_eq!(seen[1], ("account 2 has 1".to_owned(), 350), "{seen:?}");
}
