use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

use crate::batching::Batches;

const TICK: Duration = Duration::from_millis(1);

/// All batches, each with its time in ticks.
async fn all(mut batches: Batches<u32>) -> Vec<(u128, Vec<u32>)> {
    let start = Instant::now();
    let mut all = Vec::new();
    while let Some(batch) = batches.next().await {
        all.push((start.elapsed().as_millis(), batch.to_vec()));
        batches.written();
    }
    assert_eq!(batches.next().await, None);
    all
}

#[tokio::test(start_paused = true)]
async fn by_size_by_time_and_at_the_end() {
    for (size, ticks, expected) in [
        (3, vec![], vec![]),
        (1, vec![0, 0], vec![(0, vec![0]), (0, vec![1])]),
        (3, vec![0, 5, 5], vec![(5, vec![0, 1, 2])]),
        (3, vec![0, 9], vec![(10, vec![0, 1])]),
        (3, vec![1, 12], vec![(11, vec![0]), (17, vec![1])]),
        (
            2,
            vec![0, 0, 0, 0, 0],
            vec![(0, vec![0, 1]), (0, vec![2, 3]), (5, vec![4])],
        ),
    ] {
        let (queue, items) = mpsc::channel(1);
        let batches = all(Batches::new(items, size, 10 * TICK));
        let send = async move {
            let start = Instant::now();
            for (number, tick) in (0..).zip(ticks) {
                tokio::time::sleep_until(start + tick * TICK).await;
                queue.send(number).await.expect("it is open");
            }
            sleep(5 * TICK).await;
        };
        assert_eq!(tokio::join!(send, batches).1, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    for ticks in 0..30 {
        let (queue, items) = mpsc::channel(1);
        let mut batches = Batches::new(items, 3, 10 * TICK);
        tokio::spawn(async move {
            for number in 0..8 {
                sleep(4 * TICK).await;
                queue.send(number).await.expect("it is open");
            }
        });
        let mut written = Vec::new();
        let start = Instant::now();
        loop {
            let step = async {
                let batch = batches.next().await?.to_vec();
                // The write.
                sleep(TICK).await;
                batches.written();
                Some(batch)
            };
            // Dropped after so many ticks, and once more each tick after that.
            let patience = if start.elapsed() < ticks * TICK {
                ticks
            } else {
                3
            };
            match timeout(patience * TICK, step).await {
                Ok(Some(batch)) => written.extend(batch),
                Ok(None) => break,
                Err(_) => {}
            }
        }
        assert_eq!(written, (0..8).collect::<Vec<_>>(), "{ticks}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_begins_no_new_linger() {
    let (queue, items) = mpsc::channel(1);
    let mut batches = Batches::new(items, 3, 10 * TICK);
    queue.send(1).await.expect("it is open");
    let start = Instant::now();
    for _ in 0..9 {
        assert!(timeout(TICK, batches.next()).await.is_err());
    }
    assert_eq!(batches.next().await, Some(&[1][..]));
    assert_eq!(start.elapsed(), 10 * TICK);
    queue.send(2).await.expect("it is open");
    // Not written yet, so it comes again, and the new one with it.
    assert_eq!(batches.next().await, Some(&[1, 2][..]));
    batches.written();
    drop(queue);
    assert_eq!(batches.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_linger_without_end() {
    let (queue, items) = mpsc::channel(1);
    let mut batches = Batches::new(items, 2, Duration::MAX);
    queue.send(1).await.expect("it is open");
    assert!(timeout(3600 * 1000 * TICK, batches.next()).await.is_err());
    queue.send(2).await.expect("it is open");
    assert_eq!(batches.next().await, Some(&[1, 2][..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_senders_on_four_threads() {
    let (queue, items) = mpsc::channel(10);
    let mut senders = JoinSet::new();
    for sender in 0..100 {
        let queue = queue.clone();
        senders.spawn(async move {
            for number in 0..100 {
                queue.send(sender * 100 + number).await.expect("it is open");
                yield_now().await;
            }
        });
    }
    drop(queue);
    let batches = tokio::spawn(all(Batches::new(items, 7, TICK)));
    let batches = batches.await.expect("it does not panic");
    assert!(batches.iter().all(|(_, batch)| batch.len() <= 7));
    let mut items: Vec<_> = batches.into_iter().flat_map(|(_, batch)| batch).collect();
    items.sort_unstable();
    assert_eq!(items, (0..10_000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_panics_keeps_the_batch() {
    let (queue, items) = mpsc::channel(1);
    let mut batches = Batches::new(items, 1, TICK);
    queue.send(1).await.expect("it is open");
    let write = async {
        let _batch = batches.next().await;
        panic!("scheduled");
    };
    assert!(AssertUnwindSafe(write).catch_unwind().await.is_err());
    assert_eq!(batches.next().await, Some(&[1][..]));
}

#[test]
#[should_panic(expected = "room for an item")]
fn no_batches_of_none() {
    let (_queue, items) = mpsc::channel::<u32>(1);
    let _batches = Batches::new(items, 0, TICK);
}

/// What the doc comment of `written` warns of.
#[tokio::test(start_paused = true)]
async fn written_after_a_cancelled_next_loses_the_items_that_it_had_taken() {
    let (queue, items) = mpsc::channel(1);
    let mut batches = Batches::new(items, 3, 10 * TICK);
    queue.send(1).await.expect("it is open");
    assert!(timeout(TICK, batches.next()).await.is_err());
    batches.written();
    queue.send(2).await.expect("it is open");
    drop(queue);
    assert_eq!(batches.next().await, Some(&[2][..]));
}
