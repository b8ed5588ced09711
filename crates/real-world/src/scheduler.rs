//! Scheduler for periodic jobs: every n seconds, no overlap, missed ticks, failures.
//!
//! Each job is a task with a `tokio::time::interval`, whose ticks do not drift. The
//! task awaits each run, so the runs of a job never overlap. If a run takes longer than
//! a period, ticks are missed. `MissedTickBehavior` decides what follows. `Burst`
//! makes up for them. `Skip` leaves them out and continues at the next planned time.
//! `Delay` counts from the late tick (see `interval_ticks`). An error or a panic ends
//! one run only. For a single job, an `interval` and a loop are enough.
//!
//! Bounds: One run of each job at a time. Unbounded: The jobs, and the time of a run.
//!
//! Trap: If you wait for the stop and for the tick in a plain `select!`, one more run may
//! begin after the stop: if both are ready, `select!` takes one of them at random. With
//! `biased`, it takes the first ready arm in the order written, so put the stop first, as
//! here. The method `run_until_cancelled` of the token is no remedy: if both are ready,
//! it takes the tick.
//!
//! Trap: If `first`, the wait before the first run, is zero, all your processes run all
//! jobs when they start, and load the database together. Give each process a random
//! `first`.
//!
//! In production: The crate `tokio-cron-scheduler` takes cron expressions, and stores
//! its jobs. To pause a job here, remove it and add it later.
//!
//! See also: `cron` (at a time of day).
//!
//! asyncio: asyncio.create_task, asyncio.timeout_at, asyncio.Event, loop.time

use std::collections::HashMap;
use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::select;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// There is a job of this name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is a job named {0} already")]
pub struct NameTaken(pub String);

type Log = dyn Fn(&str, &str) + Send + Sync;

/// Runs jobs periodically, each in its own task. Dropping it aborts all jobs.
pub struct Scheduler {
    jobs: HashMap<String, Job>,
    log: Arc<Log>,
}

struct Job {
    stop: CancellationToken,
    now: Arc<Notify>,
    task: AbortOnDropHandle<()>,
}

impl Scheduler {
    /// Returns a scheduler without jobs.
    ///
    /// `log` is called after each run that fails, with the name of the job and a text:
    /// "failed: ..." or "crashed: ...". If `log` panics, the job ends.
    pub fn new(log: impl Fn(&str, &str) + Send + Sync + 'static) -> Self {
        Self {
            jobs: HashMap::new(),
            log: Arc::new(log),
        }
    }

    /// Adds a job: a closure that makes a future for each run. The first run begins after
    /// `first`, each further one a period later, but never before the previous run ends.
    ///
    /// A run has no time limit: put a `timeout` into it. Put blocking calls into
    /// `spawn_blocking`.
    ///
    /// # Panics
    ///
    /// If the period is zero, if `first` is too long for the clock, and outside a
    /// Tokio runtime.
    pub fn add<F, Fut, E>(
        &mut self,
        name: &str,
        first: Duration,
        period: Duration,
        missed: MissedTickBehavior,
        mut job: F,
    ) -> Result<(), NameTaken>
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send,
        E: Display + Send,
    {
        let job_there = self.jobs.get(name);
        if job_there.is_some_and(|job| !job.task.is_finished()) {
            return Err(NameTaken(name.to_owned()));
        }
        let mut ticks = interval_at(Instant::now() + first, period);
        ticks.set_missed_tick_behavior(missed);
        let stop = CancellationToken::new();
        let now = Arc::new(Notify::new());
        let (stopped, asked) = (stop.clone(), Arc::clone(&now));
        let (log, owned) = (Arc::clone(&self.log), name.to_owned());
        let task = tokio::spawn(async move {
            loop {
                select! {
                    biased;
                    () = stopped.cancelled() => return,
                    _ = ticks.tick() => {}
                    () = asked.notified() => {}
                }
                // In a block, because `job` itself may panic before it returns a future.
                let run = AssertUnwindSafe(async { job().await });
                match run.catch_unwind().await {
                    Ok(Ok(())) => {}
                    // With `#`, errors of the crate `anyhow` name their causes too.
                    Ok(Err(error)) => log(&owned, &format!("failed: {error:#}")),
                    Err(panic) => {
                        let fixed = panic.downcast_ref::<&str>().copied();
                        let text = panic.downcast_ref().map(String::as_str).or(fixed);
                        log(&owned, &format!("crashed: {}", text.unwrap_or("no text")));
                    }
                }
            }
        });
        let task = AbortOnDropHandle::new(task);
        self.jobs.insert(name.to_owned(), Job { stop, now, task });
        Ok(())
    }

    /// Runs a job once more, now or when its current run has ended. Its ticks stay as
    /// they are. Returns whether there is such a job.
    pub fn run_now(&self, name: &str) -> bool {
        let job = self.jobs.get(name).filter(|job| !job.task.is_finished());
        job.inspect(|job| job.now.notify_one()).is_some()
    }

    /// Removes a job and waits until its run, if there is one, has ended. Returns whether
    /// there was such a job. Dropping the future aborts the run.
    pub async fn remove(&mut self, name: &str) -> bool {
        let Some(job) = self.jobs.remove(name) else {
            return false;
        };
        job.stop.cancel();
        // An error means that `log` has panicked.
        let _ = job.task.await;
        true
    }

    /// Begins no more runs, and waits for the current ones, at most for the grace period.
    /// Then aborts the rest, does not wait for them, and returns the sorted names of
    /// their jobs. Dropping the future aborts all immediately.
    pub async fn stop(mut self, grace: Duration) -> Vec<String> {
        self.jobs.values().for_each(|job| job.stop.cancel());
        let all = join_all(self.jobs.values_mut().map(|job| &mut job.task));
        let _ = timeout(grace, all).await;
        self.jobs.retain(|_, job| !job.task.is_finished());
        let mut unfinished: Vec<String> = self.jobs.into_keys().collect();
        unfinished.sort();
        unfinished
    }
}

/// Runs a command periodically until Ctrl-C: `cargo run -- 60 sh backup.sh`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let usage = "usage: SECONDS COMMAND [ARGUMENT...]";
    let mut arguments = std::env::args().skip(1);
    let seconds: std::num::NonZeroU64 = arguments.next().ok_or(usage)?.parse()?;
    let program = arguments.next().ok_or(usage)?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).kill_on_drop(true);
    let mut scheduler = Scheduler::new(|name, failure| eprintln!("{name} {failure}"));
    let period = Duration::from_secs(seconds.get());
    let skip = MissedTickBehavior::Skip;
    scheduler.add("command", Duration::ZERO, period, skip, move || {
        let run = command.status();
        async {
            match run.await {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(status.to_string()),
                Err(error) => Err(error.to_string()),
            }
        }
    })?;
    tokio::signal::ctrl_c().await?;
    scheduler.stop(Duration::from_secs(10)).await;
    Ok(())
}

//@ stderr: no template for mail 3
//@ try: 60 -> usage
