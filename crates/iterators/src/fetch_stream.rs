//! Fetch one address after another: an async generator driven by its consumer.
//!
//! The next fetch starts when the loop asks for the next page, in Tokio as in asyncio. If
//! the loop stops early, no further page is fetched. `fetch_all` accepts URLs as `&str`
//! or `String`. If you move the stream into a spawned task, pass `String`s or literals.
//!
//! Bounds: One fetch runs at a time, and one page is in memory.
//!
//! Trap: If you store each page in the loop, the times of fetching and of storing add up,
//! because a stream alone runs nothing concurrently. The examples `buffered_in_order` and
//! `channel_stream` fetch while the consumer works.
//!
//! See also: `bounded_fetch_with_failures`, `record_stream`, `pagination`.
//!
//! asyncio: async def, yield, async for, break, asyncio.create_task

use std::time::Duration;

use async_stream::stream;
use futures::Stream;
use tokio::time::sleep;

/// Simulates a request that takes half a second.
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

#[tokio::main]
async fn main() -> Result<(), tokio::task::JoinError> {
    use futures::StreamExt as _;

    let urls = ["api1.com", "api2.com", "api3.com"];

    println!("All of them, storing each:");
    let mut pages = std::pin::pin!(fetch_all(&urls));
    while let Some(data) = pages.next().await {
        println!("{data}");
        sleep(Duration::from_millis(200)).await;
        println!("Stored");
    }

    println!("Only until the first hit:");
    let mut pages = std::pin::pin!(fetch_all(urls));
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
