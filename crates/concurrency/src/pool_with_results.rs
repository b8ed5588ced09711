//! A pool with results: `submit` a job, as to a Python executor, and await its result.
//!
//! `Pool` below runs at most N jobs at the same time. `submit` waits for a free place,
//! starts the job as a task, and returns the handle of the task. So a caller that submits
//! too fast is slowed down. Await the handle to get the result. If you drop the handle,
//! the job keeps running.
//!
//! `Pool::shutdown` refuses new jobs and waits for the running jobs. `submit` of a Python
//! executor never waits: it queues any number of jobs.
//!
//! Bounds: N jobs, the argument of `Pool::new`, run at the same time; above that,
//! `submit` waits. Unbounded: The number of callers that wait in `submit`.
//!
//! Trap: If a job submits another job to its own pool and waits for it, the pool
//! deadlocks as soon as such jobs take all places. Submit from outside the pool.
//!
//! In production: A job that never ends holds up the shutdown forever. The crate
//! `tokio-graceful-shutdown` cancels the tasks that have not ended after a timeout.
//!
//! See also: `worker_pool`, `semaphore`, `map_in_tasks`, `blocking_in_threads`.
//!
//! asyncio: asyncio.create_task, asyncio.Semaphore

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{AcquireError, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

/// Runs a limited number of jobs at the same time. Clones share the places.
#[derive(Clone, Debug)]
pub struct Pool {
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Pool {
    /// Returns a pool that runs this many jobs at the same time.
    ///
    /// # Panics
    ///
    /// If `jobs` is 0, or more than [`Semaphore::MAX_PERMITS`].
    pub fn new(jobs: usize) -> Self {
        assert!(jobs > 0, "no job could ever run");
        let places = Arc::new(Semaphore::new(jobs));
        Self {
            places,
            tasks: TaskTracker::new(),
        }
    }

    /// Waits for a place and starts the job. Its result, or its panic, is in the handle.
    ///
    /// Cancel safety: a dropped call starts nothing. If a `select!` pauses a waiting call
    /// without dropping it, the call holds up `shutdown` and the calls behind it
    /// (`futurelock`).
    ///
    /// # Errors
    ///
    /// If the pool was shut down. The job is dropped.
    pub async fn submit<F>(&self, job: F) -> Result<JoinHandle<F::Output>, AcquireError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        // Before the place: so `shutdown` also waits for a job that starts right now.
        let running = self.tasks.token();
        let place = Arc::clone(&self.places).acquire_owned().await?;
        Ok(tokio::spawn(async move {
            let result = job.await;
            drop((place, running));
            result
        }))
    }

    /// Refuses new jobs, and those that wait for a place. Waits until all running jobs
    /// have ended; no job starts after this has returned.
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
