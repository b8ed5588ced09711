//! Fetch one address after another, as the consumer asks for them.
//!
//! A generator is driven by its consumer, in Tokio as in asyncio: the next fetch starts
//! when the loop comes back for it, so the times of fetching and of using add up, and a
//! loop that stops early has fetched nothing in vain. The trap is to expect overlap from
//! a stream alone; `buffered_in_order` and `channel_stream` are the ways to get it. The
//! generator borrows the addresses, and the compiler sees that they outlive it.
//!
//! asyncio: async generators with arguments, async for, break

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt};
use tokio::time::sleep;

/// Stands for a request that takes half a second.
async fn fetch(url: &str) -> String {
    println!("Fetching {url}");
    sleep(Duration::from_millis(500)).await;
    format!("Data from {url}")
}

/// Yields the data of each address, in order.
pub fn fetch_all(urls: &[&str]) -> impl Stream<Item = String> {
    stream! {
        for url in urls {
            yield fetch(url).await;
        }
    }
}

pub async fn run() {
    let urls = ["api1.com", "api2.com", "api3.com"];

    let mut pages = pin!(fetch_all(&urls));
    while let Some(data) = pages.next().await {
        println!("{data}");
        sleep(Duration::from_millis(200)).await;
        println!("Stored");
    }

    println!("Only until the first hit:");
    let mut pages = pin!(fetch_all(&urls));
    while let Some(data) = pages.next().await {
        println!("{data}");
        if data.contains("api1") {
            break;
        }
    }
    println!("Found");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
