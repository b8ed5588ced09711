//! A pool with results: `submit` a job, as to an Executor, and await what it returns.
//!
//! The pool runs at most N jobs at once. `submit` waits for a place, starts the job as a
//! task, and returns its handle. A caller that submits too much is slowed down. Await the
//! handle for the result, or drop it: the job runs on.
//!
//! `shutdown` refuses new jobs and waits for those that run. Python's executor takes any
//! number of jobs and queues them.
//!
//! Bounds: the jobs that run. unbounded: callers that wait in `submit`.
//!
//! Trap: a job that submits to its own pool and waits deadlocks when all places are
//! taken by such jobs. Submit from outside.
//!
//! See also: `worker_pool`, `semaphore`, `map_in_tasks`, `blocking_in_threads`.
//!
//! asyncio: asyncio.create_task, asyncio.Semaphore

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{AcquireError, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

/// Runs a limited number of jobs at once. Clones share the places.
#[derive(Clone, Debug)]
pub struct Pool {
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Pool {
    /// Returns a pool that runs this many jobs at once.
    ///
    /// # Panics
    ///
    /// If it is more than [`Semaphore::MAX_PERMITS`].
    pub fn new(jobs: usize) -> Self {
        let places = Arc::new(Semaphore::new(jobs));
        Self {
            places,
            tasks: TaskTracker::new(),
        }
    }

    /// Waits for a place and starts the job. Its result, or its panic, is in the handle.
    ///
    /// Cancel safety: a dropped call starts nothing.
    ///
    /// # Errors
    ///
    /// If the pool was shut down. The job is dropped.
    pub async fn submit<F>(&self, job: F) -> Result<JoinHandle<F::Output>, AcquireError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let place = Arc::clone(&self.places).acquire_owned().await?;
        Ok(self.tasks.spawn(async move {
            let result = job.await;
            drop(place);
            result
        }))
    }

    /// Refuses new jobs, also those that wait for a place, and waits until all that run
    /// have ended.
    pub async fn shutdown(&self) {
        self.places.close();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn square(number: u32) -> Result<u32, String> {
    println!("Job {number} starts");
    sleep(Duration::from_millis(100)).await;
    if number == 3 {
        return Err(format!("job {number} failed"));
    }
    Ok(number * number)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let pool = Pool::new(2);
    let mut jobs = Vec::new();
    for number in 1..=4 {
        jobs.push(pool.submit(square(number)).await?);
    }
    for job in jobs {
        match job.await? {
            Ok(square) => println!("Result {square}"),
            Err(error) => println!("Error: {error}"),
        }
    }
    pool.shutdown().await;
    if pool.submit(square(5)).await.is_err() {
        println!("The pool is shut down");
    }
    Ok(())
}

//@ order: Job
