//! Gather results: run several calls concurrently, and wait for all of them.
//!
//! `tokio::join!` takes a few calls and returns a tuple. `futures::future::join_all`
//! takes a list of any length and returns the results in the order of the list. No task
//! is spawned, so the calls may borrow variables of the caller. If the caller is
//! cancelled, so are all calls, as with `asyncio.gather`.
//!
//! If the calls return a `Result`, look at each one, or let
//! `results.into_iter().collect::<Result<Vec<_>, _>>()?` find the first error. By then,
//! all calls have ended. To get the first error as soon as it comes, use the example
//! `gather`.
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
