//! A worker pool: a few workers on one bounded queue, results as they complete.
//!
//! The workers share the queue of jobs as in `many_producers_many_consumers`. A second
//! queue holds the results, each with the key of its job. A panic becomes the result of
//! its job, otherwise each panic would cost a worker. `stop` drops the running jobs, and
//! a caller that waits in `submit` gets its job back.
//!
//! Bounds: `workers` jobs at once, and `waiting` jobs and results in the queues.
//!
//! Trap: submit all jobs before you read a result, and `submit` waits for ever.
//!
//! In production: the receiver of `async-channel` can be cloned and needs no lock. Read
//! the results of short jobs in a spawned task, which is woken faster than `main`.
//!
//! See also: `job_workers`, `map_with_limit`, `drain_what_waits`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.shutdown, loop.create_future
//! order: fetching
//! stderr: /0 has no host
//! try: Cargo.toml missing.txt -> missing.txt: No such file

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// Submits jobs to the workers of a [`worker_pool`]. Clones share the queue. When all are
/// dropped, the workers finish the jobs and end.
pub struct Jobs<K, J> {
    queue: mpsc::Sender<(K, J)>,
}

impl<K, J> Clone for Jobs<K, J> {
    fn clone(&self) -> Self {
        let queue = self.queue.clone();
        Self { queue }
    }
}

/// The pool was stopped, or its workers have died. Holds the key and the job, which did
/// not run.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed<K, J>(pub K, pub J);

impl<K, J> Jobs<K, J> {
    /// Waits until there is room in the queue, and puts the job there. Callers and jobs
    /// are served first come, first served. Dropping the future drops a job that still
    /// waits.
    ///
    /// Do not call it from within a job: when the queue is full, all workers would wait
    /// for room that only they make. A job that owns a clone of `Jobs` keeps the pool
    /// from ending. Return new jobs as the result, and submit them where the results are
    /// read.
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`Results::stop`], also for callers that wait. The jobs in the
    /// queue are dropped then.
    pub async fn submit(&self, key: K, job: J) -> Result<(), Closed<K, J>> {
        let sent = self.queue.send((key, job)).await;
        sent.map_err(|mpsc::error::SendError((key, job))| Closed(key, job))
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

/// The results of a [`worker_pool`], in the order in which the jobs complete.
///
/// Dropped, it stops the pool as [`stop`](Self::stop) does, but does not wait for it.
pub struct Results<K, R> {
    results: mpsc::Receiver<(K, Result<R, Panicked>)>,
    workers: JoinSet<()>,
}

impl<K, R> Results<K, R> {
    /// Returns the next result with the key of its job, or `None` when all [`Jobs`] are
    /// dropped and all results have been returned.
    ///
    /// Cancel safety: dropping the future loses nothing.
    ///
    /// # Panics
    ///
    /// After the last result, if a worker has died. A job that panics does not kill its
    /// worker, unless the drop of its panic payload panics too.
    pub async fn next(&mut self) -> Option<(K, Result<R, Panicked>)> {
        if let Some(result) = self.results.recv().await {
            return Some(result);
        }
        while let Some(ended) = self.workers.join_next().await {
            if let Err(error) = ended
                && let Ok(panic) = error.try_into_panic()
            {
                resume_unwind(panic);
            }
        }
        None
    }

    /// Stops the pool: running jobs are dropped at their current await, and jobs in the
    /// queue never run. [`next`](Self::next) then returns the results that were in the
    /// queue, and `None`. Dropping the future stops the workers, but does not wait for
    /// them.
    ///
    /// To stop while another task reads, let the reader `select!` between `next` and a
    /// token, and call `stop` there.
    pub async fn stop(&mut self) {
        self.workers.shutdown().await;
    }
}

/// Starts `workers` tasks, each of which calls `work` for one job at a time.
///
/// The queue of jobs and the queue of results hold up to `waiting` each. Read the results
/// while you submit: if nobody reads, the workers wait, and `submit` waits for ever. Each
/// job has exactly one result, also if it panics, unless the pool is stopped.
///
/// # Panics
///
/// If `workers` or `waiting` is 0, and outside of a Tokio runtime.
pub fn worker_pool<K, J, R, F, Fut>(
    workers: usize,
    waiting: usize,
    work: F,
) -> (Jobs<K, J>, Results<K, R>)
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
    (
        Jobs { queue },
        Results {
            results,
            workers: set,
        },
    )
}

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
        // In a block, for `work` may panic before there is a future.
        let work = AssertUnwindSafe(async { work(job).await });
        let result = work
            .catch_unwind()
            .await
            .map_err(|payload| Panicked(text(payload)));
        if done.send((key, result)).await.is_err() {
            return;
        }
    }
}

/// Returns the message of a panic: a `&str` if the text was fixed, else a `String`.
fn text(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other
            .downcast_ref::<&str>()
            .unwrap_or(&"no text")
            .to_string(),
    }
}

/// Counts the lines of each file, two files at a time: `cargo run -- Cargo.toml`.
#[tokio::main]
pub async fn main() {
    let (jobs, mut results) = worker_pool(2, 1, async |path: String| {
        let text = tokio::fs::read_to_string(path).await;
        text.map(|text| text.lines().count())
    });
    let paths: Vec<String> = std::env::args().skip(1).collect();
    // In a task of its own, as it waits for room while the results are read.
    tokio::spawn(async move {
        for path in paths {
            if jobs.submit(path.clone(), path).await.is_err() {
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
