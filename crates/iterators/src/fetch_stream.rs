//! Fetch one address after another: an async generator driven by its consumer.
//!
//! A generator is driven by its consumer, in Tokio as in asyncio: the next fetch starts
//! when the loop comes back for it, so the times of fetching and of using add up, and a
//! loop that stops early has fetched nothing in vain. The trap is to expect overlap from
//! a stream alone; `buffered_in_order` and `channel_stream` are the ways to get it. The
//! generator takes borrowed addresses and owned ones; those of one that moves into a task
//! are owned or literals. Fetches that fail: `bounded_fetch_with_failures`.
//!
//! asyncio: async def, yield, async for, break, asyncio.create_task

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt};
use tokio::task::JoinError;
use tokio::time::sleep;

/// Stands for a request that takes half a second.
async fn fetch(url: &str) -> String {
    println!("Fetching {url}");
    sleep(Duration::from_millis(500)).await;
    format!("Data from {url}")
}

/// Yields the data of each address, in order.
pub fn fetch_all(
    urls: impl IntoIterator<Item = impl AsRef<str>>,
) -> impl Stream<Item = String> {
    stream! {
        for url in urls {
            yield fetch(url.as_ref()).await;
        }
    }
}

pub async fn run() -> Result<(), JoinError> {
    let urls = ["api1.com", "api2.com", "api3.com"];

    println!("All of them, storing each:");
    let mut pages = pin!(fetch_all(&urls));
    while let Some(data) = pages.next().await {
        println!("{data}");
        sleep(Duration::from_millis(200)).await;
        println!("Stored");
    }

    println!("Only until the first hit:");
    let mut pages = pin!(fetch_all(urls));
    while let Some(data) = pages.next().await {
        println!("{data}");
        if data.contains("api2") {
            break;
        }
    }
    println!("Found");

    println!("In a task, with addresses of its own:");
    let urls = [4, 5].map(|number| format!("api{number}.com"));
    let task = tokio::spawn(fetch_all(urls).collect::<Vec<_>>());
    println!("{}", task.await?.join(", "));
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
