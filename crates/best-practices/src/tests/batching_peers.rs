//! Cases after the tests of tokio-stream's `chunks_timeout`.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::batching::Batches;

const SECOND: Duration = Duration::from_secs(1);

/// Sends its number at each of these seconds.
fn items(at: &'static [u32]) -> mpsc::Receiver<u32> {
    let (sender, receiver) = mpsc::channel(100);
    let start = Instant::now();
    tokio::spawn(async move {
        for second in at {
            sleep_until(start + *second * SECOND).await;
            sender.send(*second).await.expect("it is received");
        }
    });
    receiver
}

/// Returns the batches, and the second at which each came.
async fn batches(at: &'static [u32], size: usize, linger: u32) -> Vec<(Vec<u32>, u64)> {
    let (start, mut all) = (Instant::now(), Vec::new());
    let mut batches = Batches::new(items(at), size, linger * SECOND);
    while let Some(batch) = batches.next().await {
        all.push((batch.to_vec(), start.elapsed().as_secs()));
        batches.written();
    }
    all
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_a_full_batch_is_returned_immediately() {
    let all = batches(&[0, 0, 0, 9], 3, 5).await;
    assert_eq!(all[0], (vec![0, 0, 0], 0));
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_a_batch_that_does_not_fill_comes_at_its_time() {
    let all = batches(&[0, 1, 9], 3, 5).await;
    assert_eq!(all, [(vec![0, 1], 5), (vec![9], 9)]);
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_the_time_starts_with_the_first_item() {
    let all = batches(&[3, 7, 20], 9, 5).await;
    assert_eq!(all[0], (vec![3, 7], 8));
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_the_time_starts_again_with_each_batch() {
    let all = batches(&[0, 1, 2, 3, 4, 20], 2, 10).await;
    assert_eq!(all[..2], [(vec![0, 1], 1), (vec![2, 3], 3)]);
    assert_eq!(all[2], (vec![4], 14));
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_a_later_item_does_not_prolong_the_wait() {
    let all = batches(&[0, 2, 4, 6], 9, 5).await;
    assert_eq!(all, [(vec![0, 2, 4], 5), (vec![6], 6)]);
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_the_rest_is_the_last_batch() {
    assert_eq!(batches(&[0, 1], 9, 60).await, [(vec![0, 1], 1)]);
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_an_empty_stream_has_no_batches() {
    assert_eq!(batches(&[], 3, 5).await, []);
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_no_batch_is_empty() {
    let all = batches(&[0, 1000], 3, 5).await;
    assert_eq!(all, [(vec![0], 5), (vec![1000], 1000)]);
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_batches_of_one() {
    let all = batches(&[0, 0, 1], 1, 5).await;
    assert_eq!(all, [(vec![0], 0), (vec![0], 0), (vec![1], 1)]);
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_no_batch_is_larger_than_the_size() {
    let all = batches(&[0; 100], 7, 5).await;
    assert!(all.iter().all(|(batch, _)| batch.len() <= 7));
    assert_eq!(all.len(), 15);
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_an_exact_number_leaves_no_rest() {
    assert_eq!(batches(&[0; 6], 3, 5).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_a_time_of_zero_returns_what_is_there() {
    let all = batches(&[0, 0, 3, 3], 9, 0).await;
    let sizes: Vec<_> = all.iter().map(|(batch, _)| batch.len()).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 4);
    assert!(all.iter().all(|(batch, at)| u64::from(batch[0]) == *at));
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_the_order_of_the_items_is_kept() {
    let all = batches(&[0, 1, 2, 3, 4, 5, 6, 7, 8], 4, 3).await;
    let items: Vec<_> = all.into_iter().flat_map(|(batch, _)| batch).collect();
    assert_eq!(items, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_a_slow_reader_finds_a_full_batch() {
    let mut batches = Batches::new(items(&[0, 1, 2, 3, 60]), 3, SECOND);
    sleep(10 * SECOND).await;
    assert_eq!(batches.next().await, Some(&[0, 1, 2][..]));
}

#[tokio::test(start_paused = true)]
async fn tokio_stream_a_batch_that_was_not_written_is_returned_again_differs() {
    let mut batches = Batches::new(items(&[0, 1, 60]), 3, 5 * SECOND);
    assert!(timeout(SECOND, batches.next()).await.is_err());
    assert_eq!(batches.next().await, Some(&[0, 1][..]));
    assert_eq!(batches.next().await, Some(&[0, 1][..]));
    batches.written();
    assert_eq!(batches.next().await, Some(&[60][..]));
}
