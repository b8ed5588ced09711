//! What a `TaskTracker` counts whose tokens go through a channel.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::support::{all_wait, assert_linear};
use crate::queue_join::Job;

const HOUR: Duration = Duration::from_secs(3600);

fn queue(capacity: usize) -> (mpsc::Sender<Job>, mpsc::Receiver<Job>, TaskTracker) {
    let (sender, receiver) = mpsc::channel(capacity);
    let unfinished = TaskTracker::new();
    unfinished.close();
    (sender, receiver, unfinished)
}

#[tokio::test(start_paused = true)]
async fn a_send_that_waits_counts_already_and_dropped_no_more() {
    let (sender, mut receiver, unfinished) = queue(1);
    assert!(sender.send((1, unfinished.token())).await.is_ok());
    let mut send = Box::pin(sender.send((2, unfinished.token())));
    assert!(futures::poll!(send.as_mut()).is_pending(), "it is full");
    drop(receiver.recv().await);
    assert!(timeout(HOUR, unfinished.wait()).await.is_err(), "2");
    drop(send);
    assert!(timeout(HOUR, unfinished.wait()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_token_counts_until_it_is_dropped() {
    let (sender, mut receiver, unfinished) = queue(2);
    for number in 1..=2 {
        assert!(sender.send((number, unfinished.token())).await.is_ok());
    }
    let (_, bound) = receiver.recv().await.expect("the sender is there");
    let working = tokio::spawn(async move {
        let _bound = bound;
        sleep(HOUR / 2).await;
    });
    if let Some((number, _)) = receiver.recv().await {
        assert_eq!((number, unfinished.len()), (2, 2), "still in the pattern");
    }
    assert_eq!(unfinished.len(), 1);
    assert!(timeout(HOUR / 3, unfinished.wait()).await.is_err());
    assert!(timeout(HOUR / 3, unfinished.wait()).await.is_ok());
    assert!(working.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_panics_leaves_nothing_unfinished_and_no_receiver() {
    let (sender, mut receiver, unfinished) = queue(2);
    for number in 1..=2 {
        assert!(sender.send((number, unfinished.token())).await.is_ok());
    }
    let worker = tokio::spawn(async move {
        let job = receiver.recv().await.expect("the sender is there");
        panic!("job {}", job.0);
    });
    assert!(timeout(HOUR, unfinished.wait()).await.is_ok());
    assert!(worker.await.is_err_and(|error| error.is_panic()));
    assert!(sender.send((3, unfinished.token())).await.is_err());
    assert!(timeout(HOUR, unfinished.wait()).await.is_ok());
}

#[test]
fn ten_times_as_many_that_wait_cost_ten_times_as_much() {
    assert_linear(async |number| {
        let (sender, mut receiver, unfinished) = queue(1);
        let sending = all_wait(number, |number| {
            let (sender, token) = (sender.clone(), unfinished.token());
            async move { sender.send((number, token)).await.is_ok() }
        });
        let sending = sending.await;
        let work = async {
            for _ in 0..number {
                assert!(receiver.recv().await.is_some());
            }
        };
        tokio::join!(work, unfinished.wait());
        assert!(sending.join_all().await.into_iter().all(|is_sent| is_sent));
    });
}

#[tokio::test(start_paused = true)]
async fn wait_of_an_open_tracker_never_returns() {
    let unfinished = TaskTracker::new();
    drop(unfinished.token());
    assert!(timeout(1000 * HOUR, unfinished.wait()).await.is_err());
    unfinished.close();
    assert!(timeout(HOUR, unfinished.wait()).await.is_ok());
}

/// The second trap: `join` of asyncio would wait forever.
#[tokio::test(start_paused = true)]
async fn an_aborted_worker_drops_the_waiting_items_with_their_tokens() {
    let (sender, mut receiver, unfinished) = queue(2);
    for number in 1..=2 {
        assert!(sender.send((number, unfinished.token())).await.is_ok());
    }
    let worker = tokio::spawn(async move {
        let _job = receiver.recv().await;
        sleep(HOUR).await;
    });
    assert!(timeout(HOUR / 2, unfinished.wait()).await.is_err());
    worker.abort();
    assert!(timeout(HOUR / 4, unfinished.wait()).await.is_ok());
    assert!(sender.send((3, unfinished.token())).await.is_err());
}
