//! Blocking or async HTTP: the same downloads in turn, concurrently, and on threads.
//!
//! The async function is the blocking function plus two awaits. Async downloads run
//! concurrently: they take as long as the longest one, in place of the sum of all. If
//! your library only blocks, call it in `spawn_blocking`, which is `asyncio.to_thread`:
//! each call then has its own thread.
//!
//! Bounds: A blocking request times out after 30 s, reqwest's default. Unbounded: The
//! time of an async request, the number of threads, and the size of a body; see
//! `http_requests`.
//!
//! Trap: If you send a blocking request inside an async function, its thread of Tokio can
//! do nothing else, and timers and sockets of the whole program may stop until the page
//! has arrived. In a debug build, `reqwest::blocking` panics instead: "Cannot drop a
//! runtime in a context where blocking is not allowed". Await an async client, or use
//! `spawn_blocking`.
//!
//! In production: A program without async code can use the crate `ureq`, which needs no
//! async runtime such as Tokio.
//!
//! asyncio: asyncio.gather, asyncio.to_thread, asyncio.TaskGroup.create_task
//! differs: a blocking request stops asyncio's loop; here, a debug build panics

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
