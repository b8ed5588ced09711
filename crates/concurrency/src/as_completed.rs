//! Take results as they complete, with the key of each: `asyncio.as_completed`.
//!
//! Results come in the order in which they are ready, so each future returns its key with
//! its value or error. Tasks in a `JoinSet` run on while the loop's body awaits. A panic
//! comes without its key: `join_map` keeps the key. If you leave the loop early and drop
//! the set, the other tasks are aborted. asyncio lets them run until you cancel them.
//!
//! Trap: futures in a `FuturesUnordered` may borrow, because they are no tasks. They run
//! only while the loop waits for the next result, so a slow body stops them.
//!
//! See also: `buffered_as_completed` (with a limit), `join_map`, `gather`.
//!
//! asyncio: asyncio.as_completed, asyncio.create_task, asyncio.Task.cancel, break
//! asyncio: asyncio.as_completed (async iteration)
//! differs: a slow body stops `FuturesUnordered`; asyncio's tasks go on behind it

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// A key, and how many milliseconds its fetch takes.
type Request = (u32, u64);

async fn fetch_data((id, millis): Request) -> Result<String, String> {
    sleep(Duration::from_millis(millis)).await;
    println!("fetched {id}");
    if id == 4 {
        return Err(String::from("no such data"));
    }
    Ok(format!("Data {id}"))
}

fn print_result(id: u32, result: Result<String, String>) {
    match result {
        Ok(data) => println!("{id}: {data}"),
        Err(error) => println!("{id}: Error: {error}"),
    }
}

/// Prints the result, and keeps the loop busy for 250 ms.
async fn use_it(id: u32, result: Result<String, String>) {
    print_result(id, result);
    sleep(Duration::from_millis(250)).await;
}

pub async fn run() -> Result<(), JoinError> {
    let requests: [Request; 4] = [(1, 400), (2, 100), (3, 200), (4, 300)];

    println!("Tasks, and a slow loop:");
    // for completed in asyncio.as_completed(tasks):
    //     id, result = await completed
    let keyed = async |request: Request| (request.0, fetch_data(request).await);
    let mut tasks = JoinSet::from_iter(requests.map(keyed));
    while let Some(completed) = tasks.join_next().await {
        let (id, result) = completed?;
        use_it(id, result).await;
    }

    println!("Left after the first:");
    let mut tasks = JoinSet::from_iter(requests.map(keyed));
    while let Some(completed) = tasks.join_next().await {
        let (id, result) = completed?;
        print_result(id, result);
        if id == 2 {
            break;
        }
    }
    drop(tasks);
    sleep(Duration::from_millis(400)).await;
    println!("0.4 s later");

    println!("Futures that are no tasks, and a slow loop:");
    let mut futures = FuturesUnordered::new();
    for request in &requests {
        futures.push(async move { (request.0, fetch_data(*request).await) });
    }
    while let Some((id, result)) = futures.next().await {
        use_it(id, result).await;
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
