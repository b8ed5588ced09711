//! Process a stream of records: limit concurrency to five, collect batches of ten.
//!
//! The pipeline is one chain: `map` each record to a task of its own, `buffered(5)` lets
//! five of them work at once and keeps the order of arrival, `try_chunks(10)` collects
//! batches. An error ends it; what the batch held by then comes with the error and is not
//! lost, unless `try_next().await?` throws it away. The trap is a bare `JoinHandle`: when
//! the chain is dropped, its task goes on. The wrapper aborts those that are still at
//! work, which here takes effect for the records after the one that failed. See also
//! `buffered_in_order`.
//!
//! asyncio: asyncio.create_task, asyncio.Task.cancel, contextlib.aclosing, async for

use std::fmt;
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
#[derive(Debug)]
pub enum Failure {
    NoUse(Record),
    Panicked(JoinError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUse(Record { id, value }) => {
                write!(f, "record {id}: no use for {value}")
            }
            Self::Panicked(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

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
async fn process(record: Record) -> Result<Processed, Failure> {
    let Record { id, value } = record;
    sleep(Duration::from_millis(if id == 3 { 850 } else { 600 })).await;
    if id == 15 {
        return Err(Failure::NoUse(record));
    }
    println!("record {id} done");
    let doubled_value = 2 * value;
    Ok(Processed { id, doubled_value })
}

fn save(batch: &[Processed]) {
    let ids: Vec<_> = batch.iter().map(|processed| processed.id).collect();
    println!("saved: records {ids:?}");
    let doubled: Vec<_> = batch.iter().map(|one| one.doubled_value).collect();
    println!("doubled: {doubled:?}");
}

pub async fn run() {
    {
        let mut batches = pin!(
            records()
                .map(|record| AbortOnDropHandle::new(tokio::spawn(process(record))))
                .buffered(5)
                .map(|joined| joined.map_err(Failure::Panicked)?)
                .try_chunks(10)
        );
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
