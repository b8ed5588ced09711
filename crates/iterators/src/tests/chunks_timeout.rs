use std::cell::Cell;
use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::sleep;

use super::support::{SIZES, unknown_size};
use crate::chunks_timeout::chunks_timeout;

#[tokio::test(start_paused = true)]
async fn any_number_of_items() {
    for size in SIZES {
        for chunk in [1, 3, 1000] {
            let numbers = stream::iter(unknown_size(0..size));
            let batches = chunks_timeout(numbers, chunk, Duration::MAX);
            let batches: Vec<_> = batches.collect().await;
            let all: Vec<u32> = (0..size).collect();
            assert!(batches.iter().eq(all.chunks(chunk)), "{size} by {chunk}");
        }
    }
}

#[test]
#[should_panic(expected = "a batch of 0 items")]
fn a_size_of_0_is_refused() {
    drop(chunks_timeout(stream::iter([1]), 0, Duration::MAX));
}

/// "Memory for all of them is allocated when it begins."
#[tokio::test]
#[should_panic(expected = "capacity overflow")]
async fn a_size_without_a_limit_is_more_than_memory() {
    let batches = chunks_timeout(stream::iter([1]), usize::MAX, Duration::MAX);
    batches.collect::<Vec<_>>().await;
}

/// What `Bounds` says.
#[tokio::test(start_paused = true)]
async fn while_a_batch_is_handled_the_source_is_not_read() {
    let read = Cell::new(0);
    let numbers = stream::iter(0..100).inspect(|_| read.set(read.get() + 1));
    let limit = Duration::from_millis(1);
    let mut batches = pin!(chunks_timeout(numbers, 3, limit));
    for number in 1..5 {
        assert!(batches.next().await.is_some_and(|batch| batch.len() == 3));
        sleep(100 * limit).await;
        assert_eq!(read.get(), 3 * number);
    }
}
