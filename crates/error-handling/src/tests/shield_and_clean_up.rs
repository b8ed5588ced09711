use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::shield_and_clean_up::{Ended, Shield};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn finishing_takes_no_longer_than_the_work() {
    let shield = Shield::default();
    assert_eq!(shield.finish(HOUR).await, 0);

    let shield = Shield::default();
    let minute = HOUR / 60;
    let work = shield.run(sleep(minute));
    assert!(timeout(Duration::from_secs(1), work).await.is_err());
    let started = Instant::now();
    assert_eq!(shield.finish(HOUR).await, 0);
    assert!(started.elapsed() < minute);
}

#[tokio::test(start_paused = true)]
async fn what_was_stopped_is_gone_when_it_returns() {
    let shield = Shield::default();
    let held = Arc::new(());
    let work = {
        let held = Arc::clone(&held);
        async move {
            sleep(2 * HOUR).await;
            drop(held);
        }
    };
    let call = shield.run(work);
    assert!(timeout(Duration::from_secs(1), call).await.is_err());
    assert_eq!(shield.finish(HOUR).await, 1);
    assert_eq!(Arc::strong_count(&held), 1);

    let refused = shield.run(async {}).await.expect("no panic");
    assert_eq!(refused, Ended::Refused);
    assert_eq!(shield.finish(HOUR).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_and_does_not_hold_up_the_end() {
    let shield = Shield::default();
    let outcome = shield.run(async { panic!("scheduled") }).await;
    assert!(outcome.is_err_and(|error| error.is_panic()));
    assert_eq!(timeout(HOUR, shield.finish(2 * HOUR)).await, Ok(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_tells_how_many_callers_were_told() {
    let tick = Duration::from_millis(1);
    for _ in 0..300 {
        let shield = Shield::default();
        let mut callers = JoinSet::new();
        for _ in 0..40 {
            let shield = shield.clone();
            let call = async move { shield.run(sleep(3 * tick)).await };
            callers.spawn(async { call.await.expect("no panic") });
        }
        let stopped = shield.finish(2 * tick).await;
        let told = callers.join_all().await;
        let told = told.iter().filter(|&ended| *ended == Ended::Stopped);
        assert_eq!(stopped, told.count());
    }
}

#[tokio::test]
async fn not_awaited_it_does_not_begin() {
    let shield = Shield::default();
    let held = Arc::new(());
    let work = Arc::clone(&held);
    drop(shield.run(async move { drop(work) }));
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!(timeout(HOUR, shield.finish(HOUR)).await, Ok(0));
}
