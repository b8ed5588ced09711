//! Share one queue of jobs among three workers: each takes the next job when it is free.
//!
//! This is the example of asyncio's documentation of queues. A Tokio channel has one
//! receiver, so the workers (three tasks) share the receiver behind a lock. When the
//! sender is dropped and the queue is empty, `recv` returns `None`, and the workers end.
//! In asyncio, you wait with `join` of the queue and then cancel the workers.
//!
//! Bounds: Three jobs run at the same time, and ten wait in the queue. Above that, `send`
//! waits.
//!
//! See also: `worker_pool` (with results, and for jobs that may panic),
//! `many_producers_many_consumers`, `queue_join`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.get, asyncio.Queue.join, asyncio.Task.cancel

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::sleep;

/// Takes one job after another. A job is the number of milliseconds to sleep.
pub async fn worker(jobs: Arc<Mutex<mpsc::Receiver<u64>>>) {
    loop {
        // The lock is released at the end of this line, before the job begins.
        let job = jobs.lock().await.recv().await;
        let Some(millis) = job else { return };
        sleep(Duration::from_millis(millis)).await;
        println!("slept for {millis} ms");
    }
}

#[tokio::main]
async fn main() -> Result<(), tokio::sync::mpsc::error::SendError<u64>> {
    let (queue, jobs) = mpsc::channel(10);
    let jobs = Arc::new(Mutex::new(jobs));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        workers.spawn(worker(Arc::clone(&jobs)));
    }
    for millis in [300, 200, 100, 250, 200, 150] {
        queue.send(millis).await?;
    }
    drop(queue);
    workers.join_all().await;
    println!("all jobs are done");
    Ok(())
}
