//! Batch a stream by count or by time: `itertools.batched`, even for a slow source.
//!
//! `chunks(n)` of the crate `futures` yields full batches, and a shorter one only at the
//! end. So if the source is slow, an item may wait long until its batch is full.
//! `chunks_timeout` of the crate `tokio-stream` has a time limit, too: when the first
//! item of a batch has waited that long, the batch is yielded.
//!
//! Bounds: A batch has at most `size` items, and memory for all of them is allocated when
//! the batch begins. While your loop body handles a batch, the source is not read. If the
//! source cannot wait, feed a channel from a task (see the example `channel_stream`).
//!
//! Trap: If you drop the stream, for example by a timeout around the loop, the unfinished
//! batch is lost. Keep the stream in a variable outside the timeout. Then
//! `into_remainder` returns the items of the unfinished batch.
//!
//! See also: `debounce_and_throttle`, `moving_window`, `batches`, `stream_processor`.
//!
//! asyncio: itertools.batched, asyncio.wait(timeout=), anext, asyncio.timeout

use std::time::Duration;

use async_stream::stream;
use futures::Stream;
use tokio::time::sleep;
use tokio_stream::adapters::ChunksTimeout;

const SIZE: usize = 3;
const LIMIT: Duration = Duration::from_millis(250);

/// Yields 1, 2, 3 and so on, after these many milliseconds each.
fn numbers(delays: &[u64]) -> impl Stream<Item = usize> + '_ {
    stream! {
        for (index, delay) in delays.iter().enumerate() {
            sleep(Duration::from_millis(*delay)).await;
            yield index + 1;
        }
    }
}

/// Returns batches. Each is closed when it has `size` items, or when its first item has
/// waited for `limit`.
///
/// # Panics
///
/// If `size` is 0, or more than memory can hold: a batch allocates `size` places when it
/// begins. So a batch that is closed by time alone needs a `size`, too.
pub fn chunks_timeout<S: Stream>(
    items: S,
    size: usize,
    limit: Duration,
) -> ChunksTimeout<S> {
    assert!(size > 0, "a batch of 0 items would never be closed");
    // If this trait and the one of futures were both imported, `next` would be ambiguous.
    tokio_stream::StreamExt::chunks_timeout(items, size, limit)
}

#[tokio::main]
async fn main() {
    use futures::StreamExt as _;

    let steady = [100; 4];
    println!("By count:");
    let mut batches = std::pin::pin!(numbers(&steady).chunks(SIZE));
    while let Some(batch) = batches.next().await {
        println!("batch {batch:?}");
    }

    println!("By count or time:");
    let bursts = [100, 100, 100, 50, 50, 500];
    let mut batches = std::pin::pin!(chunks_timeout(numbers(&bursts), SIZE, LIMIT));
    while let Some(batch) = batches.next().await {
        println!("batch {batch:?}");
    }

    println!("Stopped in the middle of a batch:");
    let mut batches = std::pin::pin!(chunks_timeout(numbers(&steady), SIZE, LIMIT));
    while let Ok(Some(batch)) = tokio::time::timeout(LIMIT, batches.next()).await {
        println!("batch {batch:?}");
    }
    println!("left: {:?}", batches.into_remainder());
}
