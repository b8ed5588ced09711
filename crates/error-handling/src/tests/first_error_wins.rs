use std::error::Error;
use std::future::{Ready, pending, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

use crate::first_error_wins::try_all;

type Failure = Box<dyn Error + Send + Sync>;
type Job = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// Holds it and never ends.
fn hold(held: &Arc<()>) -> Job {
    let held = Arc::clone(held);
    Box::pin(async move {
        let _held = held;
        pending().await
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_is_dropped_when_it_returns() {
    for round in 0..1000 {
        let held = Arc::new(());
        let fail: Job = Box::pin(async move {
            yield_now().await;
            assert!(round % 2 == 0, "a bug");
            Err("an error".into())
        });
        let jobs = [hold(&held), fail, hold(&held)];
        assert!(tokio::spawn(try_all(jobs)).await.is_ok_and(|r| r.is_err()));
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[tokio::test]
async fn a_set_that_is_dropped_does_not_wait() {
    let held = Arc::new(());
    let tasks = JoinSet::from_iter([hold(&held)]);
    yield_now().await;
    drop(tasks);
    assert_eq!(Arc::strong_count(&held), 2);
    yield_now().await;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test(start_paused = true)]
async fn dropped_it_aborts_the_tasks() {
    let held = Arc::new(());
    let second = Duration::from_secs(1);
    assert!(timeout(second, try_all([hold(&held)])).await.is_err());
    sleep(second).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test]
async fn of_nothing_nothing() {
    let none: [Ready<Result<(), Failure>>; 0] = [];
    assert_eq!(try_all(none).await.ok(), Some(vec![]));
    let one = [ready(Ok::<_, Failure>(7))];
    assert_eq!(try_all(one).await.ok(), Some(vec![7]));
}

#[tokio::test]
async fn try_join_on_futures_stops_at_the_error_at_once() {
    let held = Arc::new(());
    let mut joined = pin!(async {
        tokio::try_join!(hold(&held), async { Err::<(), _>("an error".into()) })
    });
    assert!(joined.as_mut().await.is_err());
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test(start_paused = true)]
async fn try_join_on_handles_hides_the_error() {
    let spawn = || {
        let slow = async {
            sleep(Duration::from_secs(2)).await;
            Ok::<_, Failure>(())
        };
        let fails = async { Err::<(), Failure>("an error".into()) };
        (tokio::spawn(slow), tokio::spawn(fails))
    };
    let start = Instant::now();
    let (slow, fails) = spawn();
    let joined = tokio::try_join!(slow, fails).expect("neither panics");
    assert!(joined.0.is_ok() && joined.1.is_err());
    assert_eq!(start.elapsed(), Duration::from_secs(2));

    let start = Instant::now();
    let (slow, fails) = spawn();
    let joined = tokio::try_join!(async { slow.await? }, async { fails.await? });
    assert_eq!(joined.expect_err("one fails").to_string(), "an error");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// With `try_join_all`, more than 30 futures or an unknown number wait for their turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_the_last_fails_behind_some_that_hang() {
    for size in [1, 31, 129, 1_000] {
        for unknown in [false, true] {
            let held = Arc::new(());
            let fail = || -> Job { Box::pin(async { Err("an error".into()) }) };
            let job = |number| if number == size { fail() } else { hold(&held) };
            let all = async {
                match unknown {
                    false => try_all((1..=size).map(job)).await,
                    true => try_all((1..=size).filter(|_| true).map(job)).await,
                }
            };
            let all = timeout(Duration::from_secs(60), all).await;
            assert!(all.expect("it does not hang").is_err());
            assert_eq!(Arc::strong_count(&held), 1);
        }
        let values = try_all((0..size).map(|number| ready(Ok::<_, Failure>(number))));
        assert!(
            values
                .await
                .is_ok_and(|values| values.into_iter().eq(0..size))
        );
    }
}

#[tokio::test(start_paused = true)]
async fn values_come_in_the_order_of_the_futures() {
    for size in [1_u64, 31, 129, 1_000] {
        let job = |number: u64| async move {
            // The last one ends first.
            sleep(Duration::from_millis(size - number)).await;
            Ok::<_, Failure>(number)
        };
        let values = try_all((0..size).map(job)).await;
        assert!(values.is_ok_and(|values| values.into_iter().eq(0..size)));
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_error_in_time_is_returned() {
    let fails = |seconds| -> Job {
        Box::pin(async move {
            sleep(Duration::from_secs(seconds)).await;
            Err(format!("after {seconds} s").into())
        })
    };
    let error = try_all([fails(3), fails(1), fails(2)]).await;
    assert_eq!(error.expect_err("all fail").to_string(), "after 1 s");
}
