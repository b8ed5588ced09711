//! Run a few futures of a stream at once, and keep their order.
//!
//! `map` to futures, then `buffered(n)`: up to n run at once and results come in the
//! order of the input. A result that is ready early keeps its place among the n until its
//! turn, so one slow item at the front holds up the start of others. The trap: the buffer
//! polls only while the consumer awaits it, so a busy loop body stalls the work in
//! flight. Spawn in the `map` where it must go on. `buffered(0)` waits for ever, and
//! items that are references do not compile inside `tokio::spawn`: own them.
//!
//! asyncio: create_task, a window of tasks, await in order

use std::pin::pin;
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
    println!("Two at once, in order:");
    let jobs = [('a', 400), ('b', 100), ('c', 200)];
    let mut results = pin!(stream::iter(jobs).map(fetch).buffered(2));
    while let Some(name) = results.next().await {
        println!("got {name}");
    }

    let jobs = [('a', 100), ('b', 200), ('c', 300)];
    println!("A busy consumer stalls them:");
    let mut results = pin!(stream::iter(jobs).map(fetch).buffered(3));
    while let Some(name) = results.next().await {
        use_it(name).await;
    }

    println!("Spawned, they go on by themselves:");
    let spawned = stream::iter(jobs)
        // A bare JoinHandle would leave the task running if the stream were dropped.
        .map(|job| AbortOnDropHandle::new(tokio::spawn(fetch(job))));
    let mut results = pin!(spawned.buffered(3));
    while let Some(name) = results.next().await {
        use_it(name?).await;
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
