//! Share one stream among several workers: each takes the next item when it is free.
//!
//! Two calls of `next` at the same time are refused: "cannot borrow `jobs` as mutable
//! more than once at a time". Python notices at run time: "anext(): asynchronous
//! generator is already running". In both languages, put a lock around `next`. Tokio's
//! `Mutex` may be held over an await, and an `Arc` lets all tasks share it.
//!
//! Bounds: Each worker holds at most one item. Nothing is read ahead.
//!
//! Trap: If you write `while let Some(job) = jobs.lock().await.next().await`, the lock is
//! held until the end of the loop's body, so only one worker works. Take the item in a
//! function, such as `next` below: the lock is released when the function returns.
//!
//! See also: `for_each_concurrent`, `worker_pool`, `channel_stream`.
//!
//! asyncio: asyncio.Lock, asyncio.TaskGroup, anext, anext(default)

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::Mutex;
use tokio::time::sleep;

/// A number, and how many milliseconds the job takes.
type Job = (u32, u64);
type Jobs = Arc<Mutex<BoxStream<'static, Job>>>;

/// Returns this many jobs. Each takes 100 ms to arrive.
fn jobs(count: usize) -> Jobs {
    let jobs = [(1, 350), (2, 200), (3, 200), (4, 350), (5, 250)];
    let jobs = stream::iter(jobs).take(count).then(async |job| {
        sleep(Duration::from_millis(100)).await;
        job
    });
    Arc::new(Mutex::new(jobs.boxed()))
}

async fn work(worker: &str, (number, millis): Job) {
    println!("{worker} begins {number}");
    sleep(Duration::from_millis(millis)).await;
    println!("{worker} has done {number}");
}

/// Returns the next job. The lock is released when this function returns.
async fn next(jobs: &Jobs) -> Option<Job> {
    jobs.lock().await.next().await
}

/// Works on one job after another until the stream ends.
pub async fn worker(name: &'static str, jobs: Jobs) {
    while let Some(job) = next(&jobs).await {
        work(name, job).await;
    }
    println!("{name} goes home");
}

/// Does the same, but holds the lock while it works.
async fn greedy_worker(name: &'static str, jobs: Jobs) {
    while let Some(job) = jobs.lock().await.next().await {
        work(name, job).await;
    }
}

#[tokio::main]
async fn main() {
    println!("Two workers:");
    let five = jobs(5);
    let mut workers = tokio::task::JoinSet::new();
    for name in ["Ada", "Bob"] {
        workers.spawn(worker(name, Arc::clone(&five)));
        sleep(Duration::from_millis(50)).await;
    }
    workers.join_all().await;

    println!("Two that hold the lock while they work:");
    let two = jobs(2);
    let mut workers = tokio::task::JoinSet::new();
    for name in ["Ada", "Bob"] {
        workers.spawn(greedy_worker(name, Arc::clone(&two)));
        sleep(Duration::from_millis(50)).await;
    }
    workers.join_all().await;
    println!("all done");
}
