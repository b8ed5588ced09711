//! A worker pool: a few workers on one bounded queue, results as they complete.
//!
//! The workers are tasks that share the queue of jobs. A second queue holds the results,
//! each with the key of its job. A panic becomes the result of its job; otherwise each
//! panic would end a worker. The pool ends when all senders of jobs are dropped, or when
//! you call `Results::stop`. The example `queue_workers` is the plain form.
//!
//! Bounds: At most `workers` jobs run at the same time. Each of the two queues holds at
//! most `waiting` items. Both numbers are parameters of `worker_pool`. When both queues
//! are full, senders of jobs wait.
//!
//! Trap: If you send all jobs before you read a result, both queues fill up, and the
//! program waits forever. Send in a separate task, as `main` does.
//!
//! In production: The receiver of the crate `async-channel` can be cloned and needs no
//! lock. If the jobs are short, read the results in a spawned task, because Tokio wakes a
//! spawned task faster than `main`.
//!
//! See also: `pool_with_results`, `job_workers`, `map_with_limit`, `drain_what_waits`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.shutdown, loop.create_future

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// Runs one job after another until there are no more, or nobody reads the results.
async fn worker<K, J, R, Fut>(
    jobs: Arc<Mutex<mpsc::Receiver<(K, J)>>>,
    work: Arc<impl Fn(J) -> Fut>,
    done: mpsc::Sender<(K, Result<R, Panicked>)>,
) where
    Fut: Future<Output = R>,
{
    loop {
        // The guard is gone at the end of this line, before the work begins.
        let next = jobs.lock().await.recv().await;
        let Some((key, job)) = next else { return };
        // In a block, because `work` may panic before it returns a future.
        let result = AssertUnwindSafe(async { work(job).await })
            .catch_unwind()
            .await;
        let result = result.map_err(|payload| Panicked(text(payload)));
        if done.send((key, result)).await.is_err() {
            return;
        }
    }
}

/// Starts `workers` tasks, each of which calls `work` for one job at a time. Returns the
/// sender of the jobs, each with a key, and their results.
///
/// Read the results while you send. Each job has exactly one result, even if it panics,
/// unless the pool is stopped. A job that sends jobs may wait forever, and keeps the pool
/// from ending. Return new jobs as its result, and send them from another task.
///
/// # Panics
///
/// If `workers` or `waiting` is 0, if `waiting` is more than `Semaphore::MAX_PERMITS`,
/// and outside a Tokio runtime.
pub fn worker_pool<K, J, R, F, Fut>(
    workers: usize,
    waiting: usize,
    work: F,
) -> (mpsc::Sender<(K, J)>, Results<K, R>)
where
    K: Send + 'static,
    J: Send + 'static,
    R: Send + 'static,
    F: Fn(J) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    assert!(workers > 0, "a pool without workers would do nothing");
    let (queue, jobs) = mpsc::channel(waiting);
    let (done, results) = mpsc::channel(waiting);
    let (jobs, work) = (Arc::new(Mutex::new(jobs)), Arc::new(work));
    let mut set = JoinSet::new();
    for _ in 0..workers {
        set.spawn(worker(Arc::clone(&jobs), Arc::clone(&work), done.clone()));
    }
    let workers = set;
    (queue, Results { results, workers })
}

/// The results of a [`worker_pool`], in the order in which the jobs complete.
///
/// Dropping it stops the pool without waiting.
#[derive(Debug)]
pub struct Results<K, R> {
    results: mpsc::Receiver<(K, Result<R, Panicked>)>,
    workers: JoinSet<()>,
}

impl<K, R> Results<K, R> {
    /// Returns the next result with the key of its job, or `None` when all senders of
    /// jobs are dropped and all results have been returned. Dropping the future loses
    /// nothing.
    ///
    /// # Panics
    ///
    /// After the last result, if dropping the payload of a job's panic has panicked too.
    pub async fn next(&mut self) -> Option<(K, Result<R, Panicked>)> {
        if let Some(result) = self.results.recv().await {
            return Some(result);
        }
        while let Some(ended) = self.workers.join_next().await {
            if let Some(Ok(panic)) = ended.err().map(|error| error.try_into_panic()) {
                resume_unwind(panic);
            }
        }
        None
    }

    /// Stops the pool: running jobs are dropped at their current await, jobs in the queue
    /// never run, and waiting senders get their jobs back. [`next`](Self::next) then
    /// returns the results that were in the queue, and `None`.
    pub async fn stop(&mut self) {
        self.workers.shutdown().await;
    }
}

/// The job panicked, with this text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked(pub String);

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the job panicked: {}", self.0)
    }
}

impl std::error::Error for Panicked {}

/// Returns the message of a panic: a `&str` if the text was fixed, else a `String`.
fn text(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other.downcast_ref::<&str>().unwrap_or(&"").to_string(),
    }
}

/// Counts the lines of each file, two files at a time: `cargo run -- Cargo.toml`.
#[tokio::main]
async fn main() {
    let (jobs, mut results) = worker_pool(2, 1, async |path: String| {
        let text = tokio::fs::read_to_string(path).await;
        text.map(|text| text.lines().count())
    });
    let paths: Vec<String> = std::env::args().skip(1).collect();
    // In a separate task: it waits for room while `main` reads the results.
    tokio::spawn(async move {
        for path in paths {
            if jobs.send((path.clone(), path)).await.is_err() {
                return;
            }
        }
    });
    while let Some((path, result)) = results.next().await {
        match result {
            Ok(Ok(lines)) => println!("{path}: {lines} lines"),
            Ok(Err(error)) => println!("{path}: {error}"),
            Err(panicked) => println!("{path}: {panicked}"),
        }
    }
}

//@ order: fetching
//@ stderr: /0 has no host
//@ try: Cargo.toml missing.txt -> missing.txt: No such file
