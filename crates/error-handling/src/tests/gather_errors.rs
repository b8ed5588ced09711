use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::gather_errors::{gather_all, try_gather};

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::test(start_paused = true)]
async fn dropped_it_aborts_the_tasks() {
    let held = Arc::new(());
    let futures = [1, 2].map(|_| {
        let held = Arc::clone(&held);
        async move {
            sleep(Duration::from_secs(60)).await;
            drop(held);
            Ok::<(), Failure>(())
        }
    });
    let limit = Duration::from_secs(1);
    assert!(timeout(limit, gather_all(futures)).await.is_err());
    sleep(limit).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test]
async fn of_nothing_nothing() {
    let none: [std::future::Ready<Result<(), Failure>>; 0] = [];
    assert_eq!(gather_all(none).await.len(), 0);
}

#[tokio::test]
async fn any_error_has_room_for_a_panic() {
    let job = async {
        assert_eq!(1, 2, "a bug");
        Ok::<(), Failure>(())
    };
    let results = tokio::spawn(gather_all([job])).await.expect("it is caught");
    let error = results[0].as_ref().expect_err("it panicked");
    assert!(error.to_string().contains("a bug"), "{error}");
}

#[tokio::test]
async fn the_first_error_is_returned_at_once_however_many_there_are() {
    let fails_last = |size: usize| {
        move |number| async move {
            match number == size {
                true => Err::<usize, _>("an error"),
                false => std::future::pending().await,
            }
        }
    };
    for size in [1, 31, 129, 1_000] {
        let known = try_gather((1..=size).map(fails_last(size)));
        let unknown = (1..=size).filter(|_| true).map(fails_last(size));
        let both = async { (known.await, try_gather(unknown).await) };
        let both = timeout(Duration::from_secs(60), both).await;
        assert_eq!(both, Ok((Err("an error"), Err("an error"))), "{size}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn results_of_many_in_their_order() {
    for size in [0, 1, 31, 129, 1_000] {
        let job = move |number: usize| async move {
            // They do not end in their order.
            for _ in 0..=(size - number) % 7 {
                tokio::task::yield_now().await;
            }
            Ok::<_, Failure>(number)
        };
        let all = gather_all((0..size).map(job)).await;
        assert!(all.into_iter().map(Result::ok).eq((0..size).map(Some)));
        let values = try_gather((0..size).filter(|_| true).map(job)).await;
        assert!(values.is_ok_and(|values| values.into_iter().eq(0..size)));
    }
}
