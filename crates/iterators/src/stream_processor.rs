//! Process a stream of records, five at a time, in batches of ten.
//!
//! Each record gets a task of its own as it arrives; a semaphore lets five of them work
//! at once, and after ten the loop waits for all of them, so memory stays bounded. A
//! `JoinSet` aborts its tasks when it is dropped, where plain handles would leave them
//! running. The trap: tasks finish in any order, so results that belong in the order of
//! arrival are sorted. Processing takes longer here than the pause between two arrivals;
//! otherwise one record would be done before the next is there, and nothing overlap.
//!
//! asyncio: async generators, create_task, Semaphore, gather

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};

const AT_ONCE: usize = 5;
const BATCH: usize = 10;

pub struct Record {
    pub id: u32,
    pub value: u32,
    /// When the record was made, since the stream's start.
    pub timestamp: Duration,
}

pub struct Processed {
    pub record: Record,
    pub doubled_value: u32,
}

/// Yields twenty records, 100 ms apart while the consumer keeps up.
pub fn records() -> impl Stream<Item = Record> {
    stream! {
        let start = Instant::now();
        for id in 0..20 {
            let value = 1 + (id * 37 + 10) % 100;
            let record = Record { id, value, timestamp: start.elapsed() };
            sleep(Duration::from_millis(100)).await;
            yield record;
        }
    }
}

/// How many are at work now, and the most that ever were.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    peak: AtomicUsize,
}

async fn process(record: Record, gauge: &Gauge) -> Processed {
    let now = gauge.now.fetch_add(1, Ordering::Relaxed) + 1;
    gauge.peak.fetch_max(now, Ordering::Relaxed);
    sleep(Duration::from_millis(600)).await;
    gauge.now.fetch_sub(1, Ordering::Relaxed);
    Processed {
        doubled_value: 2 * record.value,
        record,
    }
}

/// Waits for every task of the batch and returns the results in order of arrival.
async fn finish(batch: &mut JoinSet<Processed>) -> Result<Vec<Processed>, JoinError> {
    let mut results = Vec::with_capacity(batch.len());
    while let Some(result) = batch.join_next().await {
        results.push(result?);
    }
    results.sort_by_key(|result| result.record.id);
    Ok(results)
}

fn report(results: &[Processed]) {
    for Processed {
        record,
        doubled_value,
    } in results
    {
        let Record { id, value, .. } = record;
        println!("Processed: id {id}, value {value}, doubled {doubled_value}");
    }
    let apart = results
        .windows(2)
        .map(|pair| pair[1].record.timestamp - pair[0].record.timestamp)
        .min();
    if let Some(apart) = apart {
        let at_least = if apart >= Duration::from_millis(100) {
            "yes"
        } else {
            "no"
        };
        println!("Timestamps at least 0.1 s apart: {at_least}");
    }
}

pub async fn run() -> Result<(), JoinError> {
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let gauge = Arc::new(Gauge::default());
    let mut batch = JoinSet::new();

    let mut records = pin!(records());
    while let Some(record) = records.next().await {
        let (permits, gauge) = (Arc::clone(&permits), Arc::clone(&gauge));
        batch.spawn(async move {
            let _permit = permits.acquire().await.expect("nobody closes it");
            process(record, &gauge).await
        });
        if batch.len() == BATCH {
            report(&finish(&mut batch).await?);
        }
    }
    report(&finish(&mut batch).await?);
    println!(
        "At work at once, at most: {}",
        gauge.peak.load(Ordering::Relaxed)
    );
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
