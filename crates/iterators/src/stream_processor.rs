//! Process a stream of records: limit concurrency to five, collect batches of ten.
//!
//! The pipeline is one chain. `map` spawns a task for each record, `buffered(5)` runs
//! five tasks at a time and keeps the order, `try_chunks(10)` collects batches. The loop
//! breaks at the first error. The error holds the unfinished batch.
//!
//! Bounds: At most 5 tasks run, and one batch has at most 10 records.
//!
//! Trap: If you write `try_next().await?`, an error loses the unfinished batch. Match on
//! `TryChunksError`, as here.
//!
//! Trap: If you keep a bare `JoinHandle` for each record and the loop stops early, the
//! tasks of the records after the failed one keep running. Wrap each handle in an
//! `AbortOnDropHandle` of the crate tokio-util: when the chain is dropped, it aborts the
//! task.
//!
//! See also: `buffered_in_order`, `chunks_timeout`, `pipeline`.
//!
//! asyncio: asyncio.create_task, asyncio.Task.cancel, contextlib.aclosing, async for

use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// Why a record could not be processed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("no use for record {0}")]
    NoUse(u32),
    #[error("a task panicked")]
    Panicked(#[from] JoinError),
}

/// Yields records without end, each 100 ms after it was asked for.
pub fn records() -> impl Stream<Item = u32> {
    stream::iter(0..).then(async |record| {
        sleep(Duration::from_millis(100)).await;
        record
    })
}

/// Doubles a record in 600 ms, and record 3 more slowly. Record 15 cannot be doubled.
async fn process(record: u32) -> Result<u32, Failure> {
    sleep(Duration::from_millis(if record == 3 { 850 } else { 600 })).await;
    if record == 15 {
        return Err(Failure::NoUse(record));
    }
    println!("record {record} done");
    Ok(2 * record)
}

/// Processes five records at a time, and yields the results in the order of the records.
pub fn processed(
    records: impl Stream<Item = u32>,
) -> impl Stream<Item = Result<u32, Failure>> {
    records
        .map(|record| AbortOnDropHandle::new(tokio::spawn(process(record))))
        .buffered(5)
        // `?` unwraps the `Result` of the join. Inside is that of the task.
        .map(|joined| joined?)
}

#[tokio::main]
async fn main() {
    use futures::TryStreamExt as _;

    {
        let mut batches = std::pin::pin!(processed(records()).try_chunks(10));
        while let Some(batch) = batches.next().await {
            match batch {
                Ok(batch) => println!("saved: {batch:?}"),
                Err(futures::stream::TryChunksError(rest, error)) => {
                    println!("failed: {error}");
                    println!("saved the rest: {rest:?}");
                    break;
                }
            }
        }
    }
    sleep(Duration::from_millis(600)).await;
    println!("0.6 s later");
}
