//! Limit concurrency over a stream and take results as they complete.
//!
//! `buffer_unordered(n)` is `as_completed` with a limit: results come in the order in
//! which they are ready, so yield what tells them apart. A limit of 0 waits for ever. The
//! trap: the futures belong to the stream and are polled only while the consumer waits
//! for the next result. With a busy loop body the work in flight stands still. How to
//! spawn each as a task, and abort them when the stream is dropped half-way, is shown in
//! `buffered_in_order` and is the same here. Failures: `bounded_fetch_with_failures`.
//!
//! asyncio: asyncio.as_completed, asyncio.Semaphore, asyncio.wait, asyncio.create_task
//! differs: a busy consumer stalls `buffer_unordered`; asyncio's tasks go on behind it

use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::sleep;

/// How many jobs run at the same time.
const AT_ONCE: usize = 2;

/// A name, and how many milliseconds it takes.
type Job = (char, u64);

pub async fn fetch((name, millis): Job) -> char {
    sleep(Duration::from_millis(millis)).await;
    println!("fetched {name}");
    name
}

/// What the consumer does with each result.
async fn use_it(name: char) {
    println!("using {name}");
    sleep(Duration::from_millis(300)).await;
}

pub async fn run() {
    println!("Two at once, as they complete:");
    let jobs = [('a', 500), ('b', 100), ('c', 200), ('d', 400)];
    let mut results = pin!(stream::iter(jobs).map(fetch).buffer_unordered(AT_ONCE));
    while let Some(name) = results.next().await {
        println!("got {name}");
    }

    let jobs = [('a', 300), ('b', 100), ('c', 200), ('d', 400)];
    println!("With a busy consumer:");
    let mut results = pin!(stream::iter(jobs).map(fetch).buffer_unordered(AT_ONCE));
    while let Some(name) = results.next().await {
        use_it(name).await;
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
