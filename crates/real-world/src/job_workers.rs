//! Run workers over a job queue: extend leases, limit the time, shut down gracefully.
//!
//! Use this for the loop around a job queue. A worker claims a job for a limited time,
//! its lease, and extends the lease during the work. If the worker is killed, another
//! worker takes the job when the lease expires. The queue may be `job_queue`, a table
//! in PostgreSQL, or a broker: implement the trait `Queue` of this file for it.
//!
//! Bounds: Each call of `work` runs one job at a time. A job that runs for longer than
//! `max_runtime` is aborted, and its attempt fails. Unbounded: Your `Queue`.
//!
//! Trap: If a worker ends at the first error of the queue, a short "database is locked"
//! leaves you without workers. Here a worker logs the error and continues until `stop`.
//! It aborts the running handler only if another worker has the job, or may have it
//! because the lease has expired.
//!
//! Trap: If a handler blocks its thread, nothing can abort it. After `max_runtime` its
//! attempt has failed, but the handler keeps running, perhaps at the same time as the
//! next attempt. Let handlers await, or use `spawn_blocking` and an idempotent effect.
//!
//! In production: The crate `apalis` has workers for several stores, and layers
//! (wrappers around the handler, for example for retries) as in `tower`.
//!
//! See also: `job_queue`, `worker_pool`, `graceful_shutdown`.
//!
//! asyncio: asyncio.TaskGroup, asyncio.Condition, asyncio.Event, asyncio.wait, finally

use std::error::Error;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use tokio::select;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinError};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio::time::{sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Any error that can move to another thread. `?` converts every other error into it.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The result of [`Queue::claim`].
#[derive(Debug)]
pub enum Claim<J> {
    Job(J),
    /// No job is due before this time has passed.
    Empty(Duration),
}

/// How an attempt ended that did not succeed. `F` is the handler's error, `E` the
/// queue's.
#[derive(Debug, thiserror::Error)]
pub enum Ended<F, E> {
    #[error("{0}")]
    Failed(F),
    /// The handler panicked, perhaps before it returned its future.
    #[error(transparent)]
    Panicked(JoinError),
    #[error("it took too long")]
    TimedOut,
    /// It was aborted through the handle that [`Queue::started`] got, or because the
    /// runtime shuts down.
    #[error("it was aborted")]
    Aborted,
    /// It was still running when `grace` was over. Give the job back: it is due now.
    #[error("the worker was stopped")]
    Stopped,
    /// `complete` failed. If only its reply was lost, the job is complete: then `fail`
    /// must leave it as it is.
    #[error("it may be complete: {0}")]
    Completing(E),
}

/// A queue for workers. Each claim starts a lease of [`Workers::lease`].
pub trait Queue: Sync {
    type Job: Clone + Send + Sync;
    /// The result of a handler, for example the rows that `complete` writes.
    type Output: Send + 'static;
    /// The error of a handler: [`Failure`], or your own type, if `fail` looks at it.
    type Failure: Send + 'static;
    type Error: Error + Send;

    fn claim(&self)
    -> impl Future<Output = Result<Claim<Self::Job>, Self::Error>> + Send;

    /// Restarts the lease. Returns whether this attempt still has the job: not if another
    /// worker has claimed it, or if it is complete. Called during `complete`, too. An
    /// error is taken as temporary until the lease expires. The future is dropped if the
    /// attempt ends meanwhile.
    fn extend(
        &self,
        job: &Self::Job,
    ) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Marks the job as done. Fails if another worker has claimed it.
    fn complete(
        &self,
        job: &Self::Job,
        output: Self::Output,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Schedules the next attempt. Fails if another worker has claimed the job, or if the
    /// job is complete.
    fn fail(
        &self,
        job: &Self::Job,
        ended: Ended<Self::Failure, Self::Error>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Logs an error of the queue. The worker continues after it.
    fn report(&self, error: Self::Error);

    /// Logs that another worker has the job, or may have it: no `extend` came through
    /// until the lease expired. The handler is aborted, and neither `complete` nor `fail`
    /// is called. If `complete` was running, the job may be complete.
    fn lost(&self, job: &Self::Job);

    /// Called when a handler starts. To abort a job by its id, keep the handle.
    fn started(&self, _job: &Self::Job, _abort: AbortHandle) {}
}

/// The queue and the settings of one process's workers. Share them in an `Arc`.
#[derive(Debug)]
pub struct Workers<Q> {
    pub queue: Q,
    /// How long a claim holds. A worker extends it after each third of this time.
    pub lease: Duration,
    /// A handler that runs for longer is aborted, and its attempt fails. For a shorter
    /// limit of one job, use a `timeout` in the handler.
    pub max_runtime: Duration,
    /// How long a handler may still run after the stop. Then it is aborted.
    pub grace: Duration,
    /// How often an idle worker looks for jobs that other processes have added.
    pub poll: Duration,
    /// Call `wake.notify_one()` after adding a job, so that an idle worker looks
    /// immediately.
    pub wake: Notify,
}

impl<Q: Queue> Workers<Q> {
    /// Runs one job after the other until `stop` is cancelled; then finishes its job.
    ///
    /// `handler` returns a future, which runs in a task. If it fails, panics or takes too
    /// long, or `complete` fails, the attempt fails. Dropping `work` aborts its job. The
    /// job is claimed again when the lease has expired.
    pub async fn work<F, Fut>(&self, stop: &CancellationToken, mut handler: F)
    where
        F: FnMut(Q::Job) -> Fut,
        Fut: Future<Output = Result<Q::Output, Q::Failure>> + Send + 'static,
    {
        while !stop.is_cancelled() {
            let pause = match self.queue.claim().await {
                Ok(Claim::Job(job)) => {
                    // More jobs may be due, and this worker is busy now: wake another.
                    self.wake.notify_one();
                    // The closure itself may panic, before there is a future.
                    let call = AssertUnwindSafe(|| handler(job.clone()));
                    let called = catch_unwind(call);
                    // In a task, so that a panic ends this attempt and not the worker.
                    let task = tokio::spawn(async move {
                        match called {
                            Ok(future) => future.await,
                            Err(panic) => resume_unwind(panic),
                        }
                    });
                    self.queue.started(&job, task.abort_handle());
                    self.attend(&job, AbortOnDropHandle::new(task), stop).await;
                    continue;
                }
                Ok(Claim::Empty(pause)) => pause.min(self.poll),
                Err(error) => {
                    self.queue.report(error);
                    self.poll
                }
            };
            select! {
                () = self.wake.notified() => {}
                () = sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Waits for the handler of one job, then completes the job or fails the attempt.
    async fn attend(
        &self,
        job: &Q::Job,
        mut task: AbortOnDropHandle<Result<Q::Output, Q::Failure>>,
        stop: &CancellationToken,
    ) {
        let mut lease = Box::pin(self.keep_lease(job));
        let too_long = async {
            select! {
                () = sleep(self.max_runtime) => Ended::TimedOut,
                () = self.stopped(stop) => Ended::Stopped,
            }
        };
        let ended = select! {
            biased;
            joined = &mut task => match joined {
                Ok(Ok(output)) => {
                    // This may take long, so the lease is extended until it ends. If the
                    // job is complete, that fails, and the reply is still on its way.
                    let expired = async { sleep_until((&mut lease).await).await };
                    select! {
                        biased;
                        completed = self.queue.complete(job, output) => match completed {
                            Ok(()) => return,
                            Err(error) => Ended::Completing(error),
                        },
                        () = expired => return self.queue.lost(job),
                    }
                }
                Ok(Err(error)) => Ended::Failed(error),
                Err(error) if error.is_panic() => Ended::Panicked(error),
                Err(_) => Ended::Aborted,
            },
            ended = too_long => ended,
            _ = &mut lease => return self.queue.lost(job),
        };
        // An `extend` that is no longer polled may hold a lock for which `fail` waits.
        drop(lease);
        if !task.is_finished() {
            task.abort();
            // Unless it blocks its thread, it is dropped before the next attempt.
            let _ = timeout(self.beat(), &mut task).await;
        }
        if let Err(error) = self.queue.fail(job, ended).await {
            self.queue.report(error);
        }
    }

    /// Extends the lease until another worker has the job, or until the lease expires.
    /// Returns when that is, or was.
    async fn keep_lease(&self, job: &Q::Job) -> Instant {
        let (lease, third) = (self.lease.min(YEAR), self.beat());
        let mut expires = Instant::now() + lease;
        let mut beat = interval_at(Instant::now() + third, third);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            let now = Instant::now();
            // If the lease expired because this worker was late, it tries once more.
            let last = expires.max(now + third);
            match timeout_at(last, self.queue.extend(job)).await {
                Ok(Ok(true)) => expires = now + lease,
                Ok(Err(error)) => {
                    self.queue.report(error);
                    if Instant::now() >= expires {
                        return expires;
                    }
                }
                Ok(Ok(false)) | Err(_) => return expires,
            }
        }
    }

    fn beat(&self) -> Duration {
        (self.lease.min(YEAR) / 3).max(Duration::from_millis(1))
    }

    async fn stopped(&self, stop: &CancellationToken) {
        stop.cancelled().await;
        sleep(self.grace).await;
    }
}

/// An `Instant` plus a longer lease could overflow.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// The smallest queue: names in memory, which are lost with the process.
struct Names {
    names: std::sync::Mutex<Vec<String>>,
    stop: CancellationToken,
}

impl Queue for Names {
    type Job = String;
    type Output = usize;
    type Failure = Failure;
    type Error = std::convert::Infallible;

    async fn claim(&self) -> Result<Claim<String>, Self::Error> {
        let Some(name) = self.names.lock().expect("no panic").pop() else {
            // Nobody adds names. In your program workers run until a signal comes.
            self.stop.cancel();
            return Ok(Claim::Empty(Duration::MAX));
        };
        Ok(Claim::Job(name))
    }

    async fn extend(&self, _name: &String) -> Result<bool, Self::Error> {
        Ok(true)
    }

    async fn complete(&self, name: &String, letters: usize) -> Result<(), Self::Error> {
        println!("{name} has {letters} letters");
        Ok(())
    }

    async fn fail(
        &self,
        name: &String,
        ended: Ended<Failure, Self::Error>,
    ) -> Result<(), Self::Error> {
        println!("{name}: {ended}");
        Ok(())
    }

    fn report(&self, error: Self::Error) {
        match error {}
    }

    fn lost(&self, name: &String) {
        println!("{name}: another worker has it");
    }
}

/// Runs its arguments as jobs, until done or Ctrl-C: `cargo run -- Ann Bob`.
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let names = std::env::args().skip(1).collect::<Vec<_>>().into();
    let workers = Workers {
        queue: Names {
            names,
            stop: stop.clone(),
        },
        lease: Duration::from_secs(30),
        max_runtime: Duration::from_secs(600),
        grace: Duration::from_secs(20),
        poll: Duration::from_secs(1),
        wake: Notify::new(),
    };
    let handler = async |name: String| {
        sleep(Duration::from_secs(1)).await;
        Ok(name.len())
    };
    let until_ctrl_c = async {
        let ctrl_c = stop.run_until_cancelled(tokio::signal::ctrl_c());
        ctrl_c.await.transpose()?;
        stop.cancel();
        Ok(())
    };
    let (_, _, stopped) = tokio::join!(
        workers.work(&stop, handler),
        workers.work(&stop, handler),
        until_ctrl_c
    );
    stopped
}

//@ clock: real
//@ try: Ann Bob -> Ann has 3 letters
