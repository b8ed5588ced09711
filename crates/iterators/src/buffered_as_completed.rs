//! Run a few futures of a stream at once, and take results as they complete.
//!
//! `buffer_unordered(n)` is `as_completed` with a limit: results come in the order in
//! which they are ready, so yield what tells them apart. The trap: the futures belong to
//! the stream and are polled only while the consumer awaits it. With a busy loop body the
//! work in flight stands still, timers run out unseen, connections time out. Spawn in the
//! `map`, and the work goes on at its own pace. `buffer_unordered(0)` waits for ever, and
//! items that are references do not compile inside `tokio::spawn`: own them.
//!
//! asyncio: as_completed, Semaphore, create_task

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// A name, and how many milliseconds it takes.
type Job = (char, u64);

async fn fetch((name, millis): Job) -> char {
    sleep(Duration::from_millis(millis)).await;
    println!("fetched {name}");
    name
}

/// What the consumer does with each result.
async fn use_it(name: char) {
    println!("using {name}");
    sleep(Duration::from_millis(500)).await;
}

pub async fn run() -> Result<(), JoinError> {
    println!("Two at once, as they complete:");
    let (at_once, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let counted = async |job: Job| {
        let now = at_once.fetch_add(1, Ordering::Relaxed) + 1;
        peak.fetch_max(now, Ordering::Relaxed);
        let name = fetch(job).await;
        at_once.fetch_sub(1, Ordering::Relaxed);
        name
    };
    let jobs = [('a', 500), ('b', 100), ('c', 200), ('d', 400)];
    let mut results = pin!(stream::iter(jobs).map(counted).buffer_unordered(2));
    while let Some(name) = results.next().await {
        println!("got {name}");
    }
    println!("at once, at most: {}", peak.load(Ordering::Relaxed));

    let jobs = [('a', 300), ('b', 100), ('c', 200)];
    println!("A busy consumer stalls them:");
    let mut results = pin!(stream::iter(jobs).map(fetch).buffer_unordered(3));
    while let Some(name) = results.next().await {
        use_it(name).await;
    }

    println!("Spawned, they go on by themselves:");
    let spawned = stream::iter(jobs)
        // A bare JoinHandle would leave the task running if the stream were dropped.
        .map(|job| AbortOnDropHandle::new(tokio::spawn(fetch(job))));
    let mut results = pin!(spawned.buffer_unordered(3));
    while let Some(name) = results.next().await {
        use_it(name?).await;
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
