//! Limit concurrency over a stream: a few jobs at once, results in the order of input.
//!
//! `map` to futures, then `buffered(n)`: up to n run at once, and one that is ready early
//! keeps its place among the n until its turn. A limit of 0 waits for ever. The trap: the
//! buffer polls its futures only while the consumer waits for the next result, so a busy
//! loop body stalls them. Spawn in the `map`: what has begun goes on as a task of its
//! own, and only the next one begins when the loop asks again. A bare `JoinHandle` would
//! leave them running when the stream is dropped half-way. A closure over references in
//! the `map` is refused inside `tokio::spawn`: "implementation of `FnOnce` is not general
//! enough". Failures: `bounded_fetch_with_failures`.
//!
//! asyncio: asyncio.create_task, asyncio.Task.cancel, contextlib.aclosing, async for
//! differs: a busy consumer stalls `buffered`; tasks of asyncio go on behind it

use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// How many jobs run at the same time.
const AT_ONCE: usize = 2;

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
    sleep(Duration::from_millis(300)).await;
}

pub async fn run() -> Result<(), JoinError> {
    println!("Two at once, in order:");
    let jobs = [('a', 400), ('b', 100), ('c', 200), ('d', 100)];
    let mut results = pin!(stream::iter(jobs).map(fetch).buffered(AT_ONCE));
    while let Some(name) = results.next().await {
        println!("got {name}");
    }

    let jobs = [('a', 100), ('b', 200), ('c', 500), ('d', 100)];
    println!("With a busy consumer:");
    let mut results = pin!(stream::iter(jobs).map(fetch).buffered(AT_ONCE));
    while let Some(name) = results.next().await {
        use_it(name).await;
    }

    println!("With a busy consumer, each in a task of its own:");
    let spawn = |job| AbortOnDropHandle::new(tokio::spawn(fetch(job)));
    let mut results = pin!(stream::iter(jobs).map(spawn).buffered(AT_ONCE));
    while let Some(name) = results.next().await {
        use_it(name?).await;
    }

    println!("Left after the first:");
    {
        let mut results = pin!(stream::iter(jobs).map(spawn).buffered(AT_ONCE));
        if let Some(name) = results.next().await {
            println!("got {}", name?);
        }
        // The stream is dropped here, and aborts the task of b.
    }
    sleep(Duration::from_millis(300)).await;
    println!("0.3 s later");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
