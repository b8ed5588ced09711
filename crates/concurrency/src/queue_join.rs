//! Wait until every item of a queue has been processed: `task_done` and `join`.
//!
//! Tokio's channels do not count unfinished items, so a `tokio_util::task::TaskTracker`
//! counts them. Send each item with a token of the tracker (its method `token`). Dropping
//! the token is `task_done`, so each item is marked done exactly once, whether the job
//! succeeds, fails or panics. The tracker's `wait` is `join`. Close the tracker at the
//! start, because `wait` of an open tracker never returns. An item that waits for room in
//! the queue is counted already; asyncio counts it later.
//!
//! Trap: If the worker spawns a task for each item, and you move only the item into the
//! task, the worker's loop drops the token. Then `wait` returns before the work is done.
//! Move the token into the task, together with its item.
//!
//! Trap: If you abort the worker, it drops the receiver, and with it the waiting items
//! and their tokens. Then `wait` returns although the work is not done, and the next
//! `send` fails. asyncio's `join` waits forever. If you may abort a worker, count the
//! finished items outside the worker. When `wait` returns, compare that number with the
//! number of sent items.
//!
//! See also: `queue_shutdown`, `worker_pool`, `graceful_shutdown`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.join, asyncio.Queue.task_done
//! differs: once the worker is gone, `wait` returns here; asyncio's `join` waits forever

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// A number, and the token that counts it as unfinished until it is dropped.
pub type Job = (u32, TaskTrackerToken);

async fn work(mut jobs: mpsc::Receiver<Job>) {
    while let Some((number, _unfinished)) = jobs.recv().await {
        sleep(Duration::from_millis(100)).await;
        match number {
            2 => println!("job {number} failed"),
            _ => println!("job {number} done"),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), tokio::sync::mpsc::error::SendError<Job>> {
    let (sender, receiver) = mpsc::channel(2);
    let unfinished = tokio_util::task::TaskTracker::new();
    // While a tracker is open, `wait` never returns.
    unfinished.close();
    let worker = tokio::spawn(work(receiver));

    println!("Put and joined:");
    for number in 1..=4 {
        sender.send((number, unfinished.token())).await?;
        println!("put {number}");
    }
    unfinished.wait().await;
    println!("all processed");

    println!("Once more, with the same queue:");
    sender.send((5, unfinished.token())).await?;
    unfinished.wait().await;
    println!("all processed");

    println!("A worker that is cancelled:");
    sender.send((6, unfinished.token())).await?;
    sender.send((7, unfinished.token())).await?;
    sleep(Duration::from_millis(50)).await;
    worker.abort();
    match tokio::time::timeout(Duration::from_millis(300), unfinished.wait()).await {
        Ok(()) => println!("nothing is unfinished"),
        Err(_) => println!("unfinished after 0.3 s"),
    }
    Ok(())
}
