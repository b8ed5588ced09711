//! Race two calls: take the result of the first that completes, and drop the other.
//!
//! `tokio::select!` runs both calls concurrently, without spawning tasks. When one call
//! completes, the other is dropped before the next line runs, so nothing is left to
//! cancel. In asyncio, you cancel the pending task and await it, because until then its
//! clean-up may not have run.
//!
//! A call that returns an error has completed as well. To wait for the first success, see
//! `first_success`. For a list of any length, and for tasks, see `first_completed`.
//!
//! See also: `first_completed`, `first_success`, `select_in_a_loop`, `cancel_safety`.
//!
//! asyncio: asyncio.wait, asyncio.FIRST_COMPLETED, asyncio.Task.cancel

use std::time::Duration;

use tokio::select;
use tokio::time::sleep;

async fn fetch_data(url: &str, millis: u64) -> String {
    sleep(Duration::from_millis(millis)).await;
    println!("Fetched {url}");
    format!("Data from {url}")
}

/// Returns the data of the server that answers first.
pub async fn race_tasks() -> String {
    select! {
        data = fetch_data("http://fast.com", 100) => data,
        data = fetch_data("http://slow.com", 200) => data,
    }
}

#[tokio::main]
async fn main() {
    println!("{}", race_tasks().await);
    sleep(Duration::from_millis(200)).await;
    println!("0.2 s later, nothing else was fetched");
}
