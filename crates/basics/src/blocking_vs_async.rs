//! Blocking the event loop: what stands still, and how to keep it going.
//!
//! `sync_vs_async` compares the times. Here a heartbeat shows what else stands still. A
//! call that blocks its thread (a file, a long calculation) stops all code on that
//! thread. In asyncio that is the whole program. In Tokio it is at least the rest of the
//! task, such as the other half of a `join!`. Use the async version of the call, or hand
//! the call to `spawn_blocking`, which is `asyncio.to_thread`.
//!
//! Trap: on several threads the rest of the program runs on, so nobody notices until all
//! threads are blocked.
//!
//! See also: `sync_vs_async`, `cooperative_loops`, `blocking_in_threads`, `cpu_bound`.
//!
//! asyncio: asyncio.sleep, asyncio.gather, asyncio.to_thread, time.sleep

use std::thread;
use std::time::Duration;

use tokio::join;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep;

const DOWNLOAD: Duration = Duration::from_millis(250);

/// Blocks its thread until the download is complete.
fn download_file(filename: &str) -> String {
    println!("Starting download: {filename}");
    thread::sleep(DOWNLOAD);
    println!("Completed download: {filename}");
    format!("Data from {filename}")
}

/// Suspends until the download is complete: its thread is free meanwhile.
async fn download_file_async(filename: &str) -> String {
    println!("Starting download: {filename}");
    sleep(DOWNLOAD).await;
    println!("Completed download: {filename}");
    format!("Data from {filename}")
}

async fn heartbeat() {
    for beat in 1..=3 {
        println!("Heartbeat {beat}");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    println!("A heartbeat beside a blocking call:");
    join!(heartbeat(), async { download_file("file1.txt") });

    println!("A heartbeat beside an async call:");
    join!(heartbeat(), download_file_async("file1.txt"));

    println!("A heartbeat beside a blocking call on another thread:");
    let download = spawn_blocking(|| download_file("file1.txt"));
    let ((), result) = join!(heartbeat(), download);
    println!("{}", result?);
    Ok(())
}

//@ clock: real
//@ order: Starting download: file1.txt
