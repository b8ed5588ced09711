//! Time out blocking code: why `timeout` does not stop it, and a stop flag that does.
//!
//! A timeout can stop a call only at an await. Blocking code has no await, so `timeout`
//! notices too late, and returns the result. So run the work in `spawn_blocking`, on
//! another thread, split it, and check a flag between the parts. The caller only awaits
//! the thread, so a timeout can drop the caller. A guard (a value with a `Drop`) in the
//! caller then sets the flag.
//!
//! Trap: If you put a `timeout` around `spawn_blocking` (`asyncio.to_thread`), the wait
//! ends in time, but the thread keeps working, even after an `abort`. Tokio's runtime
//! cannot shut down until the thread has finished. Call `run_blocking`, which sets the
//! flag when its future is dropped, or `run_blocking_for`, which has its own limit.
//!
//! In production: If a long call cannot be split, run it in a separate process
//! (`tokio::process`). A process can be killed.
//!
//! See also: `timeouts`, `cpu_bound`, `run_subprocess`.
//!
//! asyncio: asyncio.to_thread, asyncio.timeout, asyncio.wait(timeout=), threading.Event

use std::thread;
use std::time::Duration;

use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Runs the work on a blocking thread, and passes it a flag that shows when to stop.
///
/// Dropping the future sets the flag. The work ends at its next check.
///
/// # Errors
///
/// If the work panicked.
pub async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
) -> Result<T, JoinError> {
    let stop = CancellationToken::new();
    let _stop_when_dropped = stop.clone().drop_guard();
    spawn_blocking(move || work(&stop)).await
}

/// Runs the work as `run_blocking` does, with a timeout. After the timeout, sets the flag
/// and waits for the work, so that its value is not lost.
pub async fn run_blocking_for<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
) -> Result<T, JoinError> {
    let stop = CancellationToken::new();
    let _stop_when_dropped = stop.clone().drop_guard();
    let flag = stop.clone();
    let mut task = spawn_blocking(move || work(&flag));
    if let Ok(result) = timeout(limit, &mut task).await {
        return result;
    }
    stop.cancel();
    task.await
}

/// Blocks for 300 ms per page. Returns how many pages were read before the flag was set.
fn index_pages(pages: u32, stop: &CancellationToken) -> u32 {
    for page in 1..=pages {
        if stop.is_cancelled() {
            return page - 1;
        }
        thread::sleep(Duration::from_millis(300));
        println!("page {page}");
    }
    pages
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    let limit = Duration::from_millis(450);
    let long_limit = Duration::from_secs(30);
    let rest = Duration::from_millis(800);
    let never = CancellationToken::new();

    println!("A limit of 0.45 s around blocking code in the same task:");
    match timeout(limit, async { index_pages(3, &never) }).await {
        Ok(pages) => println!("indexed {pages}"),
        Err(_) => println!("timed out"),
    }

    println!("Around blocking code on another thread:");
    let task = spawn_blocking(move || index_pages(3, &never));
    let abort = task.abort_handle();
    match timeout(limit, task).await {
        Ok(pages) => println!("indexed {}", pages?),
        Err(_) => println!("timed out"),
    }
    abort.abort();
    tokio::time::sleep(rest).await;

    println!("Around blocking code that checks a stop flag:");
    for (pages, limit) in [(1, long_limit), (3, limit)] {
        match timeout(limit, run_blocking(move |stop| index_pages(pages, stop))).await {
            Ok(pages) => println!("indexed {}", pages?),
            Err(_) => println!("timed out"),
        }
    }
    tokio::time::sleep(rest).await;

    println!("A limit after which the pages so far are returned:");
    for (pages, limit) in [(1, long_limit), (3, limit)] {
        let done = run_blocking_for(limit, move |stop| index_pages(pages, stop)).await?;
        println!("indexed {done} of {pages}");
    }
    Ok(())
}

//@ clock: real
//@ order: page
//@ order: timed out
