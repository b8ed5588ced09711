//! Sync against async: the same HTTP downloads in turn, concurrently, on threads.
//!
//! The async function is the blocking one plus two awaits. Concurrently, the downloads
//! take as long as the longest one, not the sum of all. Run a blocking library in
//! `spawn_blocking`, which is `asyncio.to_thread`: one thread for each call.
//!
//! Bounds: 30 s for a blocking request, which is reqwest's default. Unbounded: The time
//! of an async request, the threads, and the bodies; see `http_requests`.
//!
//! Trap: A blocking request in async code blocks its thread. That may stop all timers and
//! sockets of the program until the page has arrived. In a debug build,
//! `reqwest::blocking` panics there: "Cannot drop a runtime in a context where blocking
//! is not allowed".
//!
//! In production: A program without async code can use `ureq`, which needs no runtime.
//!
//! asyncio: asyncio.gather, asyncio.to_thread, asyncio.TaskGroup.create_task
//! differs: a blocking request in async code stops asyncio's loop; here it panics

use std::time::Instant;

use futures::future::join_all;
use reqwest::{Client, Result, blocking};
use tokio::task::{JoinError, spawn_blocking};

/// Returns a page. Blocks the thread until the page has arrived.
pub fn fetch_blocking(client: &blocking::Client, url: &str) -> Result<String> {
    client.get(url).send()?.error_for_status()?.text()
}

/// Returns a page. Meanwhile the thread runs other tasks.
pub async fn fetch(client: &Client, url: &str) -> Result<String> {
    let response = client.get(url).send().await?;
    response.error_for_status()?.text().await
}

/// Downloads one page after the other. Blocks the thread.
pub fn in_turn(client: &blocking::Client, urls: &[String]) -> Vec<Result<String>> {
    urls.iter().map(|url| fetch_blocking(client, url)).collect()
}

/// Downloads all pages concurrently, in this task.
pub async fn concurrently(client: &Client, urls: &[String]) -> Vec<Result<String>> {
    join_all(urls.iter().map(|url| fetch(client, url))).await
}

/// Downloads each page on its own thread: the way for a library that only blocks. Fails
/// if a download panics.
pub async fn on_threads(
    client: &blocking::Client,
    urls: &[String],
) -> std::result::Result<Vec<Result<String>>, JoinError> {
    let downloads = urls.iter().map(|url| {
        let (client, url) = (client.clone(), url.clone());
        spawn_blocking(move || fetch_blocking(&client, &url))
    });
    join_all(downloads).await.into_iter().collect()
}

fn report(way: &str, start: Instant, pages: Vec<Result<String>>) -> Result<()> {
    let pages = pages.into_iter().collect::<Result<Vec<_>>>()?;
    let bytes: usize = pages.iter().map(String::len).sum();
    println!("{way}: {bytes} bytes in {:?}", start.elapsed());
    Ok(())
}

/// Downloads its arguments in three ways:
/// `cargo run -- https://example.com/ https://example.org/`.
#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    // To make and to drop a blocking client blocks as well.
    let blocking = spawn_blocking(blocking::Client::new).await?;

    let (own, all, start) = (blocking.clone(), urls.clone(), Instant::now());
    let pages = spawn_blocking(move || in_turn(&own, &all)).await?;
    report("in turn", start, pages)?;

    let start = Instant::now();
    report("on threads", start, on_threads(&blocking, &urls).await?)?;

    let (client, start) = (Client::new(), Instant::now());
    report("concurrently", start, concurrently(&client, &urls).await)?;
    spawn_blocking(|| drop(blocking)).await?;
    Ok(())
}

//@ clock: real
//@ try: http://127.0.0.1:1/ -> refused
//@ stderr: Cannot drop a runtime in a context where blocking is not allowed
