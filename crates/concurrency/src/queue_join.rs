//! Wait until every item of a queue has been dealt with: `task_done` and `join`.
//!
//! Tokio's channels count no unfinished items. A `TaskTracker` does: a token of it
//! travels with each item, and dropping the token is `task_done`, which can neither be
//! forgotten nor called twice, whether the job ends well, fails or panics. A tracker
//! that is closed from the start serves for any number of joins: `wait` returns
//! whenever no token is left. The trap: a worker that is stopped drops its receiver,
//! the items in it and their tokens, so `join` returns with the work undone, where
//! asyncio's waits for ever. That the worker is gone is told by `put`, which fails from
//! then on.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.join, asyncio.Queue.task_done
//! differs: once the worker is gone `join` returns here, and in asyncio it waits for ever

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// An item, which counts as unfinished until it is dropped. Move the job itself into
/// whatever works on it: with its number alone `join` returns early. An `async move` that
/// mentions only `job.number` takes only that; one that passes `&job` on takes the job.
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
    pub fn new(capacity: usize) -> (Self, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel(capacity);
        let tracker = TaskTracker::new();
        // A tracker that is open could get more at any time: `wait` would never return.
        tracker.close();
        (Self { sender, tracker }, receiver)
    }

    /// Waits for a free place. Fails once the worker is gone, and gives the job back in
    /// the error. Dropped half-way, it puts nothing and counts nothing. While it waits,
    /// its job counts already, unlike in asyncio: `join` waits for that too.
    pub async fn put(&self, number: u32) -> Result<(), SendError<Job>> {
        let _unfinished = self.tracker.token();
        self.sender
            .send(Job {
                number,
                _unfinished,
            })
            .await
    }

    /// Returns once all that was put has been dealt with, or dropped.
    pub async fn join(&self) {
        self.tracker.wait().await;
    }
}

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
    println!("all dealt with");

    println!("Once more, with the same queue:");
    jobs.put(5).await?;
    jobs.join().await;
    println!("all dealt with");

    println!("A worker that is stopped:");
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
