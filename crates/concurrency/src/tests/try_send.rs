//! What the page says of `force_send` in async-channel 2.5.

use std::collections::HashSet;
use std::time::Duration;

use async_channel::bounded;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

#[tokio::test]
async fn the_oldest_is_replaced_and_returned_until_the_receiver_is_gone() {
    for capacity in [1, 31, 129, 1000] {
        let (sender, receiver) = bounded(capacity);
        for number in 0..capacity {
            assert_eq!(sender.force_send(number), Ok(None));
        }
        assert_eq!(sender.force_send(capacity), Ok(Some(0)));
        assert_eq!(sender.force_send(capacity + 1), Ok(Some(1)));
        let rest: Vec<_> = std::iter::from_fn(|| receiver.try_recv().ok()).collect();
        assert!(rest.into_iter().eq(2..capacity + 2));
        drop(receiver);
        assert!(sender.force_send(7).is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_item_is_received_or_returned() {
    const PRODUCERS: usize = 4;
    const EACH: usize = 2_500;
    let (sender, receiver) = bounded(8);
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        let receiver = receiver.clone();
        tasks.spawn(async move {
            let mut got = Vec::new();
            for turn in 0.. {
                // Every other time it is dropped soon, if it waits.
                let limit = Duration::from_secs(if turn % 2 == 0 { 20 } else { 0 });
                match timeout(limit, receiver.recv()).await {
                    Ok(Ok(item)) => got.push(item),
                    Ok(Err(_closed)) => break,
                    Err(_) => assert!(turn % 2 == 1, "it waits for ever"),
                }
            }
            got
        });
    }
    for producer in 0..PRODUCERS {
        let sender = sender.clone();
        tasks.spawn(async move {
            let mut back = Vec::new();
            for number in 0..EACH {
                back.extend(sender.force_send(producer * EACH + number).unwrap());
                if number % 4 == 0 {
                    yield_now().await;
                }
            }
            back
        });
    }
    drop(sender);
    let seen = timeout(Duration::from_secs(60), tasks.join_all()).await;
    let seen = seen.expect("all end").concat();
    let distinct: HashSet<usize> = seen.iter().copied().collect();
    assert_eq!(
        (seen.len(), distinct.len()),
        (PRODUCERS * EACH, PRODUCERS * EACH)
    );
}
