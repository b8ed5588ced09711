//! Wait until every item of a queue has been processed: `task_done` and `join`.
//!
//! Tokio's channels do not count unfinished items; a `TaskTracker` does. Each item
//! carries a token of the tracker, and dropping the token is `task_done`. Nobody can
//! forget it or call it twice, whether the job succeeds, fails or panics. The tracker is
//! closed from the start, so `wait` returns whenever there is no token. You can join many
//! times.
//!
//! Bounds: `capacity` items wait in the queue. Callers of `put` wait for room.
//!
//! Trap: a worker that is aborted drops its receiver, the items in it and their tokens.
//! Then `join` returns with the work undone, and the next `put` fails. asyncio's `join`
//! waits for ever.
//!
//! See also: `queue_shutdown`, `worker_pool`, `graceful_shutdown`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.join, asyncio.Queue.task_done
//! differs: once the worker is gone `join` returns here, and in asyncio it waits for ever

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// An item, which counts as unfinished until it is dropped.
///
/// Move the whole job into the task that works on it. An `async move` that mentions only
/// `job.number` copies the number: the job is dropped outside, and `join` returns early.
pub struct Job {
    pub number: u32,
    _unfinished: TaskTrackerToken,
}

/// The sending half of a queue that can be joined.
pub struct Jobs {
    sender: mpsc::Sender<Job>,
    tracker: TaskTracker,
}

impl Jobs {
    /// Returns both halves of a queue that holds up to `capacity` items.
    pub fn new(capacity: usize) -> (Self, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel(capacity);
        let tracker = TaskTracker::new();
        // While a tracker is open, `wait` never returns.
        tracker.close();
        (Self { sender, tracker }, receiver)
    }

    /// Waits until there is room, and puts the job. `join` waits for this job from now
    /// on; in asyncio it does so only once the job is in the queue.
    ///
    /// Dropping the future puts nothing and counts nothing.
    ///
    /// # Errors
    ///
    /// Returns the job if the worker is gone.
    pub async fn put(&self, number: u32) -> Result<(), SendError<Job>> {
        let _unfinished = self.tracker.token();
        self.sender
            .send(Job {
                number,
                _unfinished,
            })
            .await
    }

    /// Waits until all jobs have been processed or dropped. It may return while a job
    /// that was put meanwhile is unfinished.
    pub async fn join(&self) {
        self.tracker.wait().await;
    }
}

/// Processes a job. Number 2 is broken.
pub async fn process(job: &Job) -> Result<(), String> {
    sleep(Duration::from_millis(100)).await;
    match job.number {
        2 => Err(String::from("it is broken")),
        _ => Ok(()),
    }
}

async fn work(mut jobs: mpsc::Receiver<Job>) {
    while let Some(job) = jobs.recv().await {
        match process(&job).await {
            Ok(()) => println!("job {} done", job.number),
            Err(error) => println!("job {} failed: {error}", job.number),
        }
    }
}

pub async fn run() -> Result<(), SendError<Job>> {
    let (jobs, receiver) = Jobs::new(2);
    let worker = tokio::spawn(work(receiver));

    println!("Put and joined:");
    for number in 1..=4 {
        jobs.put(number).await?;
        println!("put {number}");
    }
    jobs.join().await;
    println!("all processed");

    println!("Once more, with the same queue:");
    jobs.put(5).await?;
    jobs.join().await;
    println!("all processed");

    println!("A worker that is cancelled:");
    jobs.put(6).await?;
    jobs.put(7).await?;
    sleep(Duration::from_millis(50)).await;
    worker.abort();
    match timeout(Duration::from_millis(300), jobs.join()).await {
        Ok(()) => println!("nothing is unfinished"),
        Err(_) => println!("unfinished after 0.3 s"),
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), SendError<Job>> {
    run().await
}
