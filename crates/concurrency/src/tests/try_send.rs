use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use super::support::poll_and_drop;
use crate::try_send::DropOldest;

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn the_oldest_goes() {
    let queue = DropOldest::new(1);
    assert_eq!(queue.push(1), None);
    assert_eq!(queue.push(2), Some(1));
    assert_eq!((queue.pop(), queue.pop()), (Some(2), None));
}

#[test]
#[should_panic(expected = "a queue for no items")]
fn a_queue_for_no_items() {
    DropOldest::<u32>::new(0);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_dropped_at_any_poll_takes_nothing_along() {
    for polls in 1..4 {
        for added in 0..3 {
            let queue = Arc::new(DropOldest::new(2));
            let shared = Arc::clone(&queue);
            let waiting =
                tokio::spawn(async move { (shared.recv().await, shared.recv().await) });
            yield_now().await;
            let dropped = {
                let mut receiving = pin!(queue.recv());
                let first = poll_and_drop(receiving.as_mut(), polls).await;
                // It is woken by these, or the other is, and then it is dropped.
                (0..added).for_each(|number| assert_eq!(queue.push(number), None));
                first
            };
            assert_eq!(dropped, None);
            (added..2).for_each(|number| assert_eq!(queue.push(number), None));
            let got = timeout(LIMIT, waiting).await.expect("both arrive");
            assert_eq!(got.ok(), Some((0, 1)));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_woken_and_dropped_wakes_the_next() {
    let queue = Arc::new(DropOldest::new(2));
    let spawn = || {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move { queue.recv().await })
    };
    let (first, second) = (spawn(), spawn());
    yield_now().await;
    queue.push(7);
    first.abort();
    let got = timeout(LIMIT, second).await.expect("it is woken");
    assert_eq!(got.ok(), Some(7));
}

#[tokio::test(start_paused = true)]
async fn two_that_asked_before_two_items_came_get_one_each() {
    let queue = DropOldest::new(2);
    // Both have seen it empty, and neither has been registered as waiting.
    let (first, second) = (queue.added.notified(), queue.added.notified());
    queue.push(1);
    queue.push(2);
    assert!(timeout(LIMIT, first).await.is_ok());
    assert_eq!(queue.pop(), Some(1));
    assert!(timeout(LIMIT, second).await.is_ok());
    assert_eq!(queue.pop(), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_item_is_received_or_given_back() {
    const PRODUCERS: u32 = 4;
    const EACH: u32 = 2_500;
    let queue = Arc::new(DropOldest::new(8));
    let mut receivers = JoinSet::new();
    for _ in 0..3 {
        let queue = Arc::clone(&queue);
        receivers.spawn(async move {
            let mut got = Vec::new();
            let mut turn = 0;
            loop {
                // Every other time it is dropped soon, if it waits.
                turn += 1;
                let limit = if turn % 2 == 0 { LIMIT } else { Duration::ZERO };
                match timeout(limit, queue.recv()).await {
                    Ok(u32::MAX) => return got,
                    Ok(item) => got.push(item),
                    Err(_) => assert!(turn % 2 == 1, "it waits for ever"),
                }
            }
        });
    }
    let mut producers = JoinSet::new();
    for producer in 0..PRODUCERS {
        let queue = Arc::clone(&queue);
        producers.spawn(async move {
            let mut back = Vec::new();
            for number in 0..EACH {
                back.extend(queue.push(producer * EACH + number));
                if number % 4 == 0 {
                    yield_now().await;
                }
            }
            back
        });
    }
    let mut seen = producers.join_all().await.concat();
    for _ in 0..3 {
        seen.extend(queue.push(u32::MAX));
    }
    let got = timeout(LIMIT, receivers.join_all()).await.expect("all end");
    seen.extend(got.concat());
    let distinct: HashSet<u32> = seen.iter().copied().collect();
    let all = (PRODUCERS * EACH) as usize;
    assert_eq!((seen.len(), distinct.len()), (all, all));
}
