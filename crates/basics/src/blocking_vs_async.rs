//! Blocking the event loop: what a blocking call stops, and what to do.
//!
//! A call that blocks its thread (a file, a long calculation) stops all code on that
//! thread. In asyncio, the whole program stops. In Tokio, at least the rest of the task
//! stops, such as the other half of a `join!`. Use the async version of the call, or hand
//! the call to `spawn_blocking`, which is `asyncio.to_thread`.
//!
//! Trap: If you block one of many threads, timers and sockets may stop in the whole
//! program. The reason: only one idle thread at a time waits for timers and sockets. If
//! this thread starts to run a task, and the task blocks, no thread waits for them any
//! more. They stop until the task has finished blocking, or until other work wakes an
//! idle thread, which then takes over. So more threads do not make a blocking call
//! harmless: hand the call to `spawn_blocking`. With
//! `Builder::enable_eager_driver_handoff` (unstable in Tokio 1.54), an idle thread takes
//! over in any case.
//!
//! Trap: If a task spawns another one and then blocks, the new task waits as well, even
//! if other threads are idle. A thread keeps the task that it has spawned or woken last
//! for itself, and no other thread takes it over. So await something in between, such as
//! `yield_now()`.
//!
//! See also: `sync_vs_async`, `cooperative_loops`, `blocking_in_threads`, `watchdog`.
//!
//! asyncio: asyncio.sleep, asyncio.gather, asyncio.to_thread, time.sleep
//! differs: in Tokio, a message wakes an idle thread, which then serves the timers

use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::sleep;
use tokio::{join, spawn};

const DOWNLOAD: Duration = Duration::from_millis(350);

/// Blocks its thread until the download is complete.
fn download_file(filename: &str) -> String {
    println!("Starting download: {filename}");
    thread::sleep(DOWNLOAD);
    println!("Completed download: {filename}");
    format!("Data from {filename}")
}

/// Suspends until the download is complete. Until then, its thread runs other tasks.
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

/// Blocks the thread that has waited for the timers.
async fn wake_up_and_block() {
    sleep(Duration::from_millis(150)).await;
    download_file("file1.txt");
}

#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() -> Result<(), JoinError> {
    println!("A heartbeat beside a blocking call:");
    join!(heartbeat(), async { download_file("file1.txt") });

    println!("A heartbeat beside an async call:");
    join!(heartbeat(), download_file_async("file1.txt"));

    println!("A heartbeat beside a blocking call on another thread:");
    let download = spawn_blocking(|| download_file("file1.txt"));
    let ((), result) = join!(heartbeat(), download);
    println!("{}", result?);

    println!("A heartbeat and a blocking call, in two tasks of several threads:");
    let beats = spawn(heartbeat());
    spawn(wake_up_and_block()).await?;
    beats.await?;

    println!("The same, and another thread sends a message meanwhile:");
    let (message, received) = oneshot::channel();
    let beats = spawn(heartbeat());
    let receiver = spawn(async {
        if received.await.is_ok() {
            println!("Received the message");
        }
    });
    thread::spawn(|| {
        thread::sleep(Duration::from_millis(300));
        message.send(())
    });
    spawn(wake_up_and_block()).await?;
    receiver.await?;
    beats.await
}

//@ clock: real
//@ order: Starting download: file1.txt
//@ order: Received the message
