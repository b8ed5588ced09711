use std::future::Ready;
use std::iter::empty;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::support::poll_and_drop;
use crate::first_completed::first_completed;

#[tokio::test]
async fn of_nothing_nothing_completes() {
    assert!(first_completed(empty::<Ready<u32>>()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_losers_have_ended_when_it_returns() {
    for number in [1, 31, 129, 1000] {
        let held = Arc::new(());
        let tasks = (0..number).map(|number| {
            let held = Arc::clone(&held);
            async move {
                sleep(Duration::from_secs(1 + number)).await;
                drop(held);
            }
        });
        assert!(matches!(first_completed(tasks).await, Some(Ok(()))));
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_while_it_waits_it_stops_all() {
    for polls in 1..5 {
        let held = Arc::new(());
        let tasks = [1, 2].map(|_| {
            let held = Arc::clone(&held);
            async move {
                sleep(Duration::from_secs(1)).await;
                drop(held);
            }
        });
        assert!(poll_and_drop(first_completed(tasks), polls).await.is_none());
        let all_gone = async {
            while Arc::strong_count(&held) > 1 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let soon = Duration::from_millis(10);
        assert!(timeout(soon, all_gone).await.is_ok());
    }
}

/// The trap: `wait` of asyncio would return both.
#[tokio::test(start_paused = true)]
async fn a_second_result_that_is_there_is_dropped() {
    let held = Arc::new(());
    let tasks = [1, 2].map(|number| {
        let held = Arc::clone(&held);
        async move { (number, held) }
    });
    let first = first_completed(tasks).await.expect("there are two");
    assert_eq!(first.expect("no panic").0, 1);
    assert_eq!(Arc::strong_count(&held), 1, "the other result is dropped");

    // As the header advises, to keep it.
    let mut tasks: JoinSet<_> = [1, 2].map(async |number| number).into_iter().collect();
    let first = tasks.join_next().await.expect("there are two");
    let second = tasks.try_join_next().expect("it has ended");
    assert_eq!(
        (first.expect("no panic"), second.expect("no panic")),
        (1, 2)
    );
}
