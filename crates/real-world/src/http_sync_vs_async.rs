//! Sync against async: the same HTTP downloads one after the other, and all at once.
//!
//! The async function is the blocking one plus two awaits. All at once, the downloads
//! take as long as the longest one, not the sum of all. Run a blocking library in
//! `spawn_blocking`, which is `asyncio.to_thread`: one thread for each call.
//!
//! Bounds: 30 s for a blocking request, which is reqwest's default. unbounded: the time
//! of an async request, and the bodies; see `http_requests`.
//!
//! Trap: a blocking request in async code blocks the other tasks of its thread. In a
//! debug build `reqwest::blocking` panics there: "Cannot drop a runtime in a context
//! where blocking is not allowed".
//!
//! In production: a program without async code can use `ureq`, which needs no runtime.
//!
//! asyncio: asyncio.gather, asyncio.to_thread, asyncio.TaskGroup.create_task
//! differs: a blocking request in async code stops asyncio's loop; here it panics

use std::time::Instant;

use futures::future::try_join_all;
use reqwest::{Client, blocking};
use tokio::task::spawn_blocking;

/// Returns a page. Blocks the thread until the page has arrived.
pub fn fetch_blocking(client: &blocking::Client, url: &str) -> reqwest::Result<String> {
    client.get(url).send()?.error_for_status()?.text()
}

/// Returns a page. Meanwhile the thread runs other tasks.
pub async fn fetch(client: &Client, url: &str) -> reqwest::Result<String> {
    let response = client.get(url).send().await?;
    response.error_for_status()?.text().await
}

/// Downloads its arguments one after the other, and then all at once:
/// `cargo run -- https://example.com/ https://example.org/`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    let (own, start) = (urls.clone(), Instant::now());
    let sum = spawn_blocking(move || {
        let client = blocking::Client::new();
        let texts = own.iter().map(|url| fetch_blocking(&client, url));
        texts
            .map(|text| Ok(text?.len()))
            .sum::<reqwest::Result<usize>>()
    });
    println!("{} bytes in {:?}", sum.await??, start.elapsed());

    let (client, start) = (Client::new(), Instant::now());
    let texts = try_join_all(urls.iter().map(|url| fetch(&client, url))).await?;
    let sum: usize = texts.iter().map(String::len).sum();
    println!("{sum} bytes in {:?}", start.elapsed());
    Ok(())
}

//@ clock: real
//@ try: http://127.0.0.1:1/ -> refused
//@ stderr: Cannot drop a runtime in a context where blocking is not allowed
