//! When `gather` returns an error, what order it keeps, and what runs on.

use std::future::pending;
use std::iter::{from_fn, once};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::gather::{Failure, gather};

const SECOND: Duration = Duration::from_secs(1);
const SIZES: [u64; 5] = [0, 1, 31, 129, 1000];

/// An iterator that does not know how many items it has.
fn of_unknown_length<T>(mut items: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    from_fn(move || items.next())
}

async fn fails() -> Result<u64, Failure> {
    sleep(SECOND).await;
    Err("the last one failed".into())
}

/// Futures that never end, and then one that fails.
fn hang(number: u64) -> impl Iterator<Item = BoxFuture<'static, Result<u64, Failure>>> {
    let hang = (0..number).map(|_| pending().boxed());
    hang.chain(once(fails().boxed()))
}

#[tokio::test(start_paused = true)]
async fn an_error_behind_futures_that_hang_is_returned_at_once() {
    for number in SIZES {
        let start = Instant::now();
        let failed = timeout(2 * SECOND, gather(hang(number))).await;
        assert!(failed.expect("it does not hang").is_err());
        let failed = timeout(2 * SECOND, gather(of_unknown_length(hang(number)))).await;
        assert!(failed.expect("it does not hang").is_err());
        assert!(start.elapsed() < 3 * SECOND, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_error_is_returned_at_once_on_several_threads() {
    let failed = timeout(60 * SECOND, gather(hang(31))).await;
    assert!(failed.expect("it does not hang").is_err());
}

#[tokio::test(start_paused = true)]
async fn try_join_all_of_more_than_30_waits_in_the_order_of_the_list() {
    for (number, returns) in [(29, true), (30, false)] {
        let failed = timeout(60 * SECOND, try_join_all(hang(number))).await;
        assert_eq!(failed.is_ok(), returns, "{number} before it");
    }
    let failed = try_join_all(of_unknown_length(hang(1)));
    assert!(timeout(60 * SECOND, failed).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn values_come_in_the_order_of_the_list() {
    for number in SIZES {
        let futures = (0..number).map(move |index| async move {
            sleep(Duration::from_millis((index * 7919) % 100)).await;
            Ok::<_, Failure>(index)
        });
        let values = gather(of_unknown_length(futures)).await.expect("no error");
        assert!(values.into_iter().eq(0..number));
    }
}

#[tokio::test(start_paused = true)]
async fn the_tasks_run_on_when_it_is_dropped() {
    let (sender, receiver) = oneshot::channel();
    let work = async {
        sleep(SECOND * 2).await;
        sender.send(7).map_err(|_| Failure::from("nobody listens"))
    };
    assert!(timeout(SECOND, gather([work])).await.is_err());
    assert_eq!(timeout(SECOND * 2, receiver).await, Ok(Ok(7)));
}

#[tokio::test]
async fn a_panic_is_an_error_and_it_can_be_spawned() {
    let results = tokio::spawn(gather([async {
        assert_eq!(1, 2, "a bug");
        Ok::<u32, Failure>(1)
    }]));
    assert!(results.await.expect("it does not panic").is_err());
}

#[tokio::test(start_paused = true)]
async fn after_an_error_the_other_tasks_keep_running() {
    let (sender, receiver) = oneshot::channel();
    let work = async {
        sleep(SECOND * 2).await;
        sender
            .send(7)
            .map_err(|_| Failure::from("nobody listens"))?;
        Ok(1)
    };
    let failed = gather([fails().boxed(), work.boxed()]).await;
    assert_eq!(
        failed.expect_err("one fails").to_string(),
        "the last one failed"
    );
    assert_eq!(timeout(SECOND * 2, receiver).await, Ok(Ok(7)));
}
