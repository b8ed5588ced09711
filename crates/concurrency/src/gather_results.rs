//! Gather results: run several calls concurrently, and wait for all of them.
//!
//! `join!` takes a few calls and returns a tuple. `join_all` takes a list of any length
//! and returns the results in its order. No task is spawned, so the calls may borrow from
//! the caller. A cancelled caller cancels all calls, as with `asyncio.gather`.
//!
//! If the calls return a `Result`, look at each one, or let
//! `results.into_iter().collect::<Result<Vec<_>, _>>()?` find the first error. All calls
//! have ended by then. `gather` returns an error as soon as it comes.
//!
//! See also: `gather`, `gather_errors`, `limit_concurrency`, `join_or_spawn`.
//!
//! asyncio: asyncio.gather

use std::time::Duration;

use tokio::time::sleep;

/// Simulates a request.
pub async fn fetch_data(id: u32, millis: u64) -> String {
    println!("Fetching data {id}");
    sleep(Duration::from_millis(millis)).await;
    format!("Data {id}")
}

#[tokio::main]
async fn main() {
    use futures::future::join_all;

    // one, two = await asyncio.gather(fetch_data(1, 0.2), fetch_data(2, 0.1))
    let (one, two) = tokio::join!(fetch_data(1, 200), fetch_data(2, 100));
    println!("{one}, {two}");

    let requests = [(3, 200), (4, 100), (5, 300)];
    // results = await asyncio.gather(*fetches)
    let fetches = requests.map(|(id, millis)| fetch_data(id, millis));
    println!("Results: {}", join_all(fetches).await.join(", "));
}
