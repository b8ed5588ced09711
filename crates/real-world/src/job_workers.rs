//! Run workers over a job queue: extend leases, limit the time, shut down gracefully.
//!
//! A worker claims a job for a limited time, its lease, and extends it during the work.
//! If the worker is killed, another one takes over when the lease expires. The queue may
//! be `job_queue`, a table in PostgreSQL, or a broker: implement `Queue` for it.
//!
//! Bounds: one job for each call of `work`, and `max_runtime`. unbounded: your `Queue`.
//!
//! Trap: a temporary error, such as "database is locked", must not end a worker. Here it
//! reports the error and goes on until `stop`. If it cannot extend a lease, it aborts the
//! handler, because another worker may have the job by then.
//!
//! See also: `job_queue`, `worker_pool`, `graceful_shutdown`.
//!
//! asyncio: asyncio.TaskGroup, asyncio.Condition, asyncio.Event, asyncio.wait, finally

use std::error::Error;
use std::time::Duration;

use tokio::select;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout, timeout_at};
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

/// A queue for workers. Each claim starts a lease of [`Workers::lease`].
pub trait Queue: Sync {
    type Job: Clone + Send + Sync;
    /// The result of a handler, for example the rows that `complete` writes.
    type Output: Send + 'static;
    type Error: Error + Send;

    fn claim(&self)
    -> impl Future<Output = Result<Claim<Self::Job>, Self::Error>> + Send;

    /// Restarts the lease. Fails if another worker has claimed the job.
    fn extend(
        &self,
        job: &Self::Job,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Marks the job as done. Fails if another worker has claimed it.
    fn complete(
        &self,
        job: &Self::Job,
        output: Self::Output,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Schedules the next attempt. Fails if another worker has claimed the job.
    fn fail(
        &self,
        job: &Self::Job,
        error: &str,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Logs an error of the queue. The worker goes on after it.
    fn report(&self, error: Self::Error);
}

/// The queue and the settings of one process's workers. Share them in an `Arc`.
#[derive(Debug)]
pub struct Workers<Q> {
    pub queue: Q,
    /// How long a claim holds. A worker extends it after each third of this time.
    pub lease: Duration,
    /// A handler that runs for longer is aborted, and its attempt fails.
    pub max_runtime: Duration,
    /// How often an idle worker looks for jobs that other processes have added.
    pub poll: Duration,
    /// Call `wake.notify_one()` after adding a job, so that an idle worker looks at once.
    pub wake: Notify,
}

impl<Q: Queue> Workers<Q> {
    /// Runs one job after the other until `stop` is cancelled; then finishes its job.
    ///
    /// `handler` returns a future, which runs in a task. If the future fails, panics or
    /// takes too long, or `complete` fails, the attempt fails. Dropping `work` aborts its
    /// job. The job is claimed again when the lease has expired.
    pub async fn work<F, Fut>(&self, stop: &CancellationToken, mut handler: F)
    where
        F: FnMut(Q::Job) -> Fut,
        Fut: Future<Output = Result<Q::Output, Failure>> + Send + 'static,
    {
        while !stop.is_cancelled() {
            let pause = match self.queue.claim().await {
                Ok(Claim::Job(job)) => {
                    // More jobs may be due, and this worker is busy now: wake another.
                    self.wake.notify_one();
                    self.attend(&job, handler(job.clone())).await;
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

    /// Runs the handler of one job, and extends the lease meanwhile.
    async fn attend<Fut>(&self, job: &Q::Job, handler: Fut)
    where
        Fut: Future<Output = Result<Q::Output, Failure>> + Send + 'static,
    {
        let handler = timeout(self.max_runtime, handler);
        // In a task, so that a panic ends this attempt and not the worker.
        let task = tokio::spawn(async { handler.await? });
        let mut task = AbortOnDropHandle::new(task);
        // An `Instant` plus a huge lease could overflow.
        let lease = self.lease.min(Duration::from_secs(365 * 24 * 3600));
        let third = (lease / 3).max(Duration::from_millis(1));
        let mut expires = Instant::now() + lease;
        let mut beat = interval_at(Instant::now() + third, third);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let result = loop {
            select! {
                joined = &mut task => {
                    break joined.unwrap_or_else(|panic| Err(panic.into()));
                }
                _ = beat.tick() => {}
            }
            let now = Instant::now();
            // If the lease expired because this worker was late, it tries once more.
            let last = expires.max(now + third);
            match timeout_at(last, self.queue.extend(job)).await {
                Ok(Ok(())) => expires = now + lease,
                Ok(Err(error)) if Instant::now() < expires => self.queue.report(error),
                Ok(Err(error)) => return self.queue.report(error),
                Err(_) => return,
            }
        };
        let error = match result {
            Ok(output) => match self.queue.complete(job, output).await {
                Ok(()) => return,
                Err(error) => error.to_string(),
            },
            Err(error) => error.to_string(),
        };
        if let Err(error) = self.queue.fail(job, &error).await {
            self.queue.report(error);
        }
    }
}

/// The smallest queue: names in memory, which are lost with the process.
struct Names {
    names: std::sync::Mutex<Vec<String>>,
    stop: CancellationToken,
}

impl Queue for Names {
    type Job = String;
    type Output = usize;
    type Error = std::convert::Infallible;

    async fn claim(&self) -> Result<Claim<String>, Self::Error> {
        let Some(name) = self.names.lock().expect("no panic").pop() else {
            // Nobody adds names. In your program workers run until a signal comes.
            self.stop.cancel();
            return Ok(Claim::Empty(Duration::MAX));
        };
        Ok(Claim::Job(name))
    }

    async fn extend(&self, _name: &String) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn complete(&self, name: &String, letters: usize) -> Result<(), Self::Error> {
        println!("{name} has {letters} letters");
        Ok(())
    }

    async fn fail(&self, name: &String, error: &str) -> Result<(), Self::Error> {
        println!("{name}: {error}");
        Ok(())
    }

    fn report(&self, error: Self::Error) {
        match error {}
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
