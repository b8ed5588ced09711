//! Limit concurrency over a stream: a few jobs at a time, results in the order of input.
//!
//! A stream (an async iterator) yields the jobs. `map` turns each job into a future, and
//! `buffered(n)` runs n of the futures at the same time. An early result keeps one of the
//! n places until its turn, so a slow job holds up the later jobs. A limit of 0 waits
//! forever.
//!
//! Bounds: At most n jobs run, or have ended and wait for their turn.
//!
//! Trap: If your loop body is busy with a result, the futures of `buffered` stall,
//! because they run only while your loop waits for a result. Spawn the futures as tasks
//! in the `map`: then started jobs keep running. Wrap each handle in `AbortOnDropHandle`,
//! or the tasks outlive a dropped stream.
//!
//! Trap: If a spawned task makes such a stream over references, with a closure that takes
//! `&T`, `tokio::spawn` refuses the task: "implementation of `FnOnce` is not general
//! enough". Make the stream of owned values.
//!
//! See also: `buffered_as_completed`, `bounded_fetch_with_failures`, `map_with_limit`.
//!
//! asyncio: asyncio.Semaphore, asyncio.TaskGroup, asyncio.TaskGroup.create_task
//! differs: a slow job or a busy consumer stalls `buffered`; asyncio's tasks keep running

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

/// Uses a result for 300 ms.
async fn use_it(name: char) {
    println!("using {name}");
    sleep(Duration::from_millis(300)).await;
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
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
    Ok(())
}
