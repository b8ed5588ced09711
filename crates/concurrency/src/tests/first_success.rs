use std::future::Ready;
use std::iter::empty;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::first_success::{Failure, first_success};

#[tokio::test]
async fn of_nothing_nothing_succeeds() {
    let errors = first_success(empty::<Ready<Result<u32, Failure>>>()).await;
    assert_eq!(errors.expect_err("no success").len(), 0);
}

#[tokio::test]
async fn a_panic_is_one_of_the_errors() {
    let errors = first_success([1, 2].map(async |bug| {
        assert_eq!(bug, 1, "a bug");
        Err::<u32, Failure>("no luck".into())
    }));
    assert_eq!(errors.await.expect_err("no success").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_losers_have_ended_when_it_returns() {
    for number in [1, 31, 129, 1000] {
        let held = Arc::new(());
        let start = Instant::now();
        let tasks = (0..=number).map(|index| {
            let held = Arc::clone(&held);
            async move {
                let seconds = if index == number { 1 } else { 100 };
                sleep(Duration::from_secs(seconds)).await;
                drop(held);
                Ok::<_, Failure>(index)
            }
        });
        assert!(matches!(first_success(tasks).await, Ok(index) if index == number));
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(start.elapsed(), Duration::from_secs(1));
    }
}

#[tokio::test]
async fn select_ok_returns_only_the_last_error() {
    let fail =
        |error: &'static str| Box::pin(async move { Err::<u32, Failure>(error.into()) });
    let raced = futures::future::select_ok([fail("one"), fail("two")]).await;
    assert_eq!(
        raced.err().map(|error| error.to_string()),
        Some("two".to_owned())
    );
    let errors = first_success([fail("one"), fail("two")]).await;
    assert_eq!(errors.expect_err("no success").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn all_errors_come_in_the_order_of_arrival() {
    for number in [1, 31, 129, 1000] {
        let tasks = (0..number).map(|index| async move {
            // The last one fails first.
            sleep(Duration::from_millis(number - index)).await;
            Err::<u32, Failure>(index.to_string().into())
        });
        let errors = first_success(tasks).await.expect_err("no success");
        let texts = errors.iter().map(ToString::to_string);
        assert!(texts.eq((0..number).rev().map(|index| index.to_string())));
    }
}

/// In `select_ok`, a call that blocks its thread holds up the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_blocks_its_thread_does_not_hold_up_the_others() {
    let (tell, told) = std::sync::mpsc::channel();
    let blocks: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
        let told = told.recv_timeout(Duration::from_secs(60));
        told.map_err(|_| Failure::from("nobody tells"))
    });
    let tells = Box::pin(async move {
        tell.send(2)?;
        // It fails, so that the other one has to return the value.
        Err::<u32, Failure>("told".into())
    });
    let value = first_success([blocks, tells]).await;
    assert_eq!(value.expect("it was told"), 2);
}
