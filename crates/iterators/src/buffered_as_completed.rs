//! Limit concurrency over a stream and take results as they complete.
//!
//! A stream (an async iterator) yields the jobs, and `map` turns each into a future.
//! `buffer_unordered(n)` runs n of the futures at the same time: it is `as_completed`
//! with a limit. Results come in the order in which they are ready, so yield the job with
//! its result. A limit of 0 waits forever.
//!
//! Bounds: At most n jobs run at the same time; the others wait in the source.
//!
//! Trap: If your loop body is busy with a result, the other jobs stall, because their
//! futures run only while your loop waits for the next result. Spawn each future as a
//! task, as the example `buffered_in_order` does.
//!
//! See also: `buffered_in_order`, `bounded_fetch_with_failures`, `as_completed`.
//!
//! asyncio: asyncio.as_completed, asyncio.Semaphore, asyncio.TaskGroup
//! differs: a busy consumer stalls `buffer_unordered`; asyncio's tasks keep running

use std::time::Duration;

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

/// Uses a result for 300 ms.
async fn use_it(name: char) {
    println!("using {name}");
    sleep(Duration::from_millis(300)).await;
}

#[tokio::main]
async fn main() {
    use futures::StreamExt as _;
    use futures::stream;
    use std::pin::pin;

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
