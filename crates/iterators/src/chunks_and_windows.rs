//! Group a stream into batches, by count or by time, and slide a window over it.
//!
//! `chunks(n)` gives full batches, and a shorter one only at the end. The trap: on a slow
//! source the first items of a batch wait for the last ones, for however long that is.
//! `chunks_timeout` also closes a batch when its first item has waited long enough, as
//! writes to a database or a log should. A window over the last n items is a few lines by
//! hand. asyncio has nothing of the kind: `itertools.batched` takes plain iterables only.
//!
//! asyncio: async generators, wait with a timeout, itertools.batched

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt};
use tokio::time::sleep;

/// Yields 1, 2, 3 and so on, after these many milliseconds each.
fn numbers(delays: &[u64]) -> impl Stream<Item = usize> {
    stream! {
        for (index, delay) in delays.iter().enumerate() {
            sleep(Duration::from_millis(*delay)).await;
            yield index + 1;
        }
    }
}

/// Yields the last `size` items as soon as there are so many, and again with each new
/// item. A stream that is shorter than `size`, or a `size` of 0, gives no window.
pub fn windows<S>(items: S, size: usize) -> impl Stream<Item = Vec<S::Item>>
where
    S: Stream,
    S::Item: Clone,
{
    stream! {
        let mut items = pin!(items);
        let mut window = VecDeque::new();
        while let Some(item) = items.next().await {
            window.push_back(item);
            if window.len() > size {
                window.pop_front();
            }
            if size > 0 && window.len() == size {
                yield Vec::from(window.clone());
            }
        }
    }
}

pub async fn run() {
    let steady = [100; 7];
    let mut batches = pin!(numbers(&steady).chunks(3));
    while let Some(batch) = batches.next().await {
        println!("chunk {batch:?}");
    }

    let mut slices = pin!(windows(numbers(&steady), 3));
    while let Some(window) = slices.next().await {
        println!("window {window:?}");
    }

    let bursts = [100, 100, 100, 300, 100, 600];
    let limit = Duration::from_millis(250);
    // Importing this trait beside the one of futures would make `next` ambiguous.
    let batches = tokio_stream::StreamExt::chunks_timeout(numbers(&bursts), 3, limit);
    let mut batches = pin!(batches);
    while let Some(batch) = batches.next().await {
        println!("batch {batch:?}");
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};

    use super::windows;

    async fn sizes(items: usize, size: usize) -> Vec<usize> {
        windows(stream::iter(0..items), size)
            .map(|window| window.len())
            .collect()
            .await
    }

    #[tokio::test]
    async fn windows_at_their_limits() {
        assert_eq!(sizes(3, 0).await, [0; 0]);
        assert_eq!(sizes(3, 1).await, [1, 1, 1]);
        assert_eq!(sizes(3, 3).await, [3]);
        assert_eq!(sizes(3, 4).await, [0; 0]);
        assert_eq!(sizes(0, 1).await, [0; 0]);
    }
}
