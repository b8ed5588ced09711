//! Download three files: blocking, one after another, then async, concurrently.
//!
//! Three blocking downloads take three times as long as one; three async downloads take
//! as long as the slowest. `join_all` is `asyncio.gather` for a list: it runs the
//! futures concurrently and returns their results in the order of the list.
//!
//! Trap: If you call a blocking function in an `async fn`, the call still blocks the
//! thread. Three such functions in a `join_all` run one after another, and no message
//! says so. Call an async function instead, or hand the blocking one to
//! `tokio::task::spawn_blocking`.
//!
//! See also: `blocking_vs_async`, `sequential_vs_concurrent`, `http_sync_vs_async`.
//!
//! asyncio: asyncio.gather, asyncio.sleep, time.sleep

use std::thread;
use std::time::Duration;

use tokio::time::sleep;

/// Blocks its thread until the download is complete.
pub fn download_file(filename: &str) -> String {
    println!("Starting download: {filename}");
    thread::sleep(Duration::from_millis(200));
    println!("Completed download: {filename}");
    format!("Data from {filename}")
}

/// Suspends until the download is complete, so other futures can run.
pub async fn download_file_async(filename: &str) -> String {
    println!("Starting download: {filename}");
    sleep(Duration::from_millis(200)).await;
    println!("Completed download: {filename}");
    format!("Data from {filename}")
}

#[tokio::main]
async fn main() {
    let files = ["file1.txt", "file2.txt", "file3.txt"];
    println!("Blocking:");
    let results = files.map(download_file);
    println!("{}", results.join(", "));

    println!("Async:");
    let results = futures::future::join_all(files.map(download_file_async)).await;
    println!("{}", results.join(", "));
}

//@ clock: real
