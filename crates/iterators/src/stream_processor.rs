//! Process a stream of records: limit concurrency to five, collect batches of ten.
//!
//! The pipeline is one chain. `map` spawns a task for each record, `buffered(5)` runs
//! five at once and keeps their order, `try_chunks(10)` collects batches. The first error
//! ends it. The error holds the part of the batch that was collected by then.
//!
//! Bounds: 5 tasks, and a batch of 10 records.
//!
//! Trap: `try_next().await?` throws that part away. Match on `TryChunksError`, as here.
//!
//! Trap: a bare `JoinHandle` detaches its task when the chain is dropped.
//! `AbortOnDropHandle` aborts it: here the tasks of the records after the failed one.
//!
//! See also: `buffered_in_order`, `chunks_timeout`, `pipeline`.
//!
//! asyncio: asyncio.create_task, asyncio.Task.cancel, contextlib.aclosing, async for

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::stream::TryChunksError;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

#[derive(Debug)]
pub struct Record {
    pub id: u32,
    pub value: u32,
}

#[derive(Debug)]
pub struct Processed {
    pub id: u32,
    pub doubled_value: u32,
}

/// Why a record could not be processed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("record {id}: no use for {value}")]
    NoUse { id: u32, value: u32 },
    #[error("a task panicked")]
    Panicked(#[from] JoinError),
}

/// Yields records without end, each 100 ms after it was asked for.
pub fn records() -> impl Stream<Item = Record> {
    stream! {
        for id in 0.. {
            sleep(Duration::from_millis(100)).await;
            yield Record { id, value: 1 + (id * 37 + 10) % 100 };
        }
    }
}

/// Takes 600 ms, and for record 3 longer. Record 15 cannot be processed.
async fn process(Record { id, value }: Record) -> Result<Processed, Failure> {
    sleep(Duration::from_millis(if id == 3 { 850 } else { 600 })).await;
    if id == 15 {
        return Err(Failure::NoUse { id, value });
    }
    println!("record {id} done");
    let doubled_value = 2 * value;
    Ok(Processed { id, doubled_value })
}

/// Processes five records at once, and yields the results in the order of the records.
pub fn processed(
    records: impl Stream<Item = Record>,
) -> impl Stream<Item = Result<Processed, Failure>> {
    records
        .map(|record| AbortOnDropHandle::new(tokio::spawn(process(record))))
        .buffered(5)
        // `?` takes the task's `Result` out of that of the join.
        .map(|joined| joined?)
}

fn save(batch: &[Processed]) {
    let ids: Vec<_> = batch.iter().map(|processed| processed.id).collect();
    println!("saved: records {ids:?}");
    let doubled: Vec<_> = batch.iter().map(|one| one.doubled_value).collect();
    println!("doubled: {doubled:?}");
}

pub async fn run() {
    {
        let mut batches = pin!(processed(records()).try_chunks(10));
        while let Some(batch) = batches.next().await {
            match batch {
                Ok(batch) => save(&batch),
                Err(TryChunksError(rest, error)) => {
                    println!("failed: {error}");
                    save(&rest);
                    break;
                }
            }
        }
    }
    sleep(Duration::from_millis(600)).await;
    println!("0.6 s later");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
