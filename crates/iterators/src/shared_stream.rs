//! Share one stream among several workers: each takes the next item when it is free.
//!
//! Two calls of `next` on one stream at a time are refused: "cannot borrow `jobs` as
//! mutable more than once at a time". asyncio finds out when it runs: "anext():
//! asynchronous generator is already running". In both a lock around the `next` helps.
//! Tokio's `Mutex` may be held across an await, and `Arc` gives each task its share of
//! one value. The trap is `while let Some(job) = jobs.lock().await.next().await`: it
//! holds the lock until the end of the loop's body, so that the workers take turns. A
//! function of its own lets go of it. One loop that hands the items out:
//! `for_each_concurrent`.
//!
//! asyncio: asyncio.Lock, asyncio.TaskGroup, anext, anext(default)

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::Mutex;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// A number, and how many milliseconds the job takes.
type Job = (u32, u64);
type Jobs = Arc<Mutex<BoxStream<'static, Job>>>;

/// So many jobs, each to be had 100 ms after it was asked for.
fn jobs(count: usize) -> Jobs {
    let jobs = [(1, 350), (2, 200), (3, 200), (4, 350), (5, 250)];
    let jobs = stream::iter(jobs).take(count).then(async |job| {
        sleep(Duration::from_millis(100)).await;
        job
    });
    Arc::new(Mutex::new(jobs.boxed()))
}

/// Job 3 cannot be done.
async fn work(worker: &str, (number, millis): Job) -> Result<(), &'static str> {
    println!("{worker} begins {number}");
    sleep(Duration::from_millis(millis)).await;
    if number == 3 {
        return Err("it cannot be done");
    }
    println!("{worker} has done {number}");
    Ok(())
}

/// The lock is released when this returns.
async fn next(jobs: &Jobs) -> Option<Job> {
    jobs.lock().await.next().await
}

/// Works on what it gets, until there is no more.
pub async fn worker(name: &'static str, jobs: Jobs) {
    while let Some(job) = next(&jobs).await {
        if let Err(error) = work(name, job).await {
            println!("{name} gives up {}: {error}", job.0);
        }
    }
    println!("{name} goes home");
}

/// The same with the lock held while it works.
async fn greedy_worker(name: &'static str, jobs: Jobs) {
    while let Some(job) = jobs.lock().await.next().await {
        if let Err(error) = work(name, job).await {
            println!("{name} gives up {}: {error}", job.0);
        }
    }
}

pub async fn run() -> Result<(), JoinError> {
    println!("Two workers:");
    let five = jobs(5);
    let mut workers = JoinSet::new();
    for name in ["Ada", "Bob"] {
        workers.spawn(worker(name, Arc::clone(&five)));
        // Ada is the first to ask.
        sleep(Duration::from_millis(50)).await;
    }
    while let Some(done) = workers.join_next().await {
        done?;
    }

    println!("Two that do not let go of the lock:");
    let two = jobs(2);
    for name in ["Ada", "Bob"] {
        workers.spawn(greedy_worker(name, Arc::clone(&two)));
        sleep(Duration::from_millis(50)).await;
    }
    while let Some(done) = workers.join_next().await {
        done?;
    }
    println!("all done");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
