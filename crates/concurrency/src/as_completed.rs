//! Take results as they complete, with the key of each: `asyncio.as_completed`.
//!
//! Results come in the order in which they are ready, not in the order of the list. So
//! each future returns a key, which says whose result it is, with its value or error. The
//! futures run as tasks in a `JoinSet` (Tokio's set of tasks), and keep running while the
//! body of your loop awaits. If a task panics, the loop gets an error without a key; the
//! example `join_map` keeps the key. If you leave the loop early and drop the `JoinSet`,
//! the other tasks are aborted. asyncio's tasks run until you cancel them.
//!
//! `next` of an empty `FuturesUnordered` and `join_next` of an empty `JoinSet` return
//! `None` immediately. In a `select!` loop write `Some(result) = tasks.join_next()`, so
//! that an empty set disables its branch instead of turning the loop into a busy one.
//!
//! Trap: If the body of your loop awaits for long, futures in a `FuturesUnordered` (of
//! the crate `futures`) stand still: they run only while the loop waits for the next
//! result. Then use the `JoinSet`. The advantage of `FuturesUnordered` is that its
//! futures may borrow, because they are not tasks.
//!
//! See also: `buffered_as_completed` (with a limit), `join_map`, `drop_a_join_set`.
//!
//! asyncio: asyncio.as_completed, asyncio.as_completed (async iteration)
//! differs: a slow body stops `FuturesUnordered`; asyncio's tasks keep running behind it

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

async fn fetch_data(id: u32, millis: u64) -> Result<String, String> {
    sleep(Duration::from_millis(millis)).await;
    println!("fetched {id}");
    if id == 4 {
        return Err(String::from("no such data"));
    }
    Ok(format!("Data {id}"))
}

/// Prints the result, and keeps the loop busy for 250 ms.
async fn use_it(id: u32, result: Result<String, String>) {
    let text = result.unwrap_or_else(|error| format!("Error: {error}"));
    println!("{id}: {text}");
    sleep(Duration::from_millis(250)).await;
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    let requests = [(1, 400), (2, 100), (3, 200), (4, 300)];
    let fetch = async |(id, millis)| (id, fetch_data(id, millis).await);

    println!("Tasks, and a slow loop:");
    // for completed in asyncio.as_completed(tasks):
    //     id, result = await completed
    let mut tasks = JoinSet::from_iter(requests.map(fetch));
    while let Some(completed) = tasks.join_next().await {
        let (id, result) = completed?;
        use_it(id, result).await;
    }

    println!("Futures that are no tasks, and a slow loop:");
    let mut futures = FuturesUnordered::from_iter(requests.map(fetch));
    while let Some((id, result)) = futures.next().await {
        use_it(id, result).await;
    }
    Ok(())
}
