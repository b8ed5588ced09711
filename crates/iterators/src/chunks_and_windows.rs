//! Batch a stream by count or by time (`itertools.batched`), and slide a window over it.
//!
//! `chunks(n)` gives full batches, and a shorter one only at the end: on a slow source
//! the first items of a batch wait for the last ones. `chunks_timeout` also closes a
//! batch when its first item has waited long enough. A window over the last n items is a
//! few lines by hand. Two traps: who stops in the middle of a `chunks_timeout` batch
//! loses what it had read, unless `into_remainder` asks for it back; and while a batch is
//! written the source stands still, where the reading task of an asyncio program goes on
//! (in Rust: `channel_stream`).
//!
//! asyncio: asyncio.Queue, asyncio.timeout, asyncio.create_task, itertools.batched
//! differs: while a batch is written, Tokio's source stands still; asyncio's task reads

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt};
use tokio::time::{sleep, timeout};
use tokio_stream::adapters::ChunksTimeout;

const SIZE: usize = 3;

/// Yields 1, 2, 3 and so on, after these many milliseconds each.
fn numbers(delays: &[u64]) -> impl Stream<Item = usize> {
    stream! {
        for (index, delay) in delays.iter().enumerate() {
            sleep(Duration::from_millis(*delay)).await;
            yield index + 1;
        }
    }
}

/// Closes a batch when it is full or its first item has waited for `limit`.
pub fn chunks_timeout<S: Stream>(
    items: S,
    size: usize,
    limit: Duration,
) -> ChunksTimeout<S> {
    // Importing this trait beside the one of futures would make `next` ambiguous.
    tokio_stream::StreamExt::chunks_timeout(items, size, limit)
}

/// Yields the last `size` items as soon as there are so many, and again with each new
/// item.
pub fn windows<S>(items: S, size: usize) -> impl Stream<Item = Vec<S::Item>>
where
    S: Stream,
    S::Item: Clone,
{
    stream! {
        let mut items = pin!(items);
        let mut window = VecDeque::with_capacity(size);
        while let Some(item) = items.next().await {
            window.push_back(item);
            if window.len() > size {
                window.pop_front();
            }
            if window.len() == size {
                yield Vec::from(window.clone());
            }
        }
    }
}

pub async fn run() {
    let steady = [100; 4];
    println!("By count:");
    let mut batches = pin!(numbers(&steady).chunks(SIZE));
    while let Some(batch) = batches.next().await {
        println!("batch {batch:?}");
    }

    println!("A sliding window:");
    let mut slices = pin!(windows(numbers(&steady), SIZE));
    while let Some(window) = slices.next().await {
        println!("window {window:?}");
    }

    println!("By count or time:");
    let bursts = [100, 100, 100, 50, 50, 500];
    let limit = Duration::from_millis(250);
    let mut batches = pin!(chunks_timeout(numbers(&bursts), SIZE, limit));
    while let Some(batch) = batches.next().await {
        println!("batch {batch:?}");
    }

    println!("Stopped in the middle of a batch, and dropped:");
    let mut source = pin!(numbers(&steady));
    {
        let mut batches = pin!(chunks_timeout(&mut source, SIZE, limit));
        while let Ok(Some(batch)) = timeout(limit, batches.next()).await {
            println!("batch {batch:?}");
        }
    }
    if let Some(number) = source.next().await {
        println!("next from the source: {number}");
    }

    println!("Stopped there, and asked for what it had read:");
    let mut batches = pin!(chunks_timeout(numbers(&steady), SIZE, limit));
    while let Ok(Some(batch)) = timeout(limit, batches.next()).await {
        println!("batch {batch:?}");
    }
    println!("read: {:?}", batches.into_remainder());

    println!("While a batch is written, 0.3 s each:");
    let mut batches = pin!(chunks_timeout(numbers(&steady), SIZE, limit));
    while let Some(batch) = batches.next().await {
        println!("batch {batch:?}");
        sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
