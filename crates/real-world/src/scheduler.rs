//! Scheduler for periodic jobs: every n seconds, no overlap, missed ticks, failures.
//!
//! Each job is a task with an `interval`, so it does not drift. It awaits each run, so
//! runs do not overlap. After a long run, `Burst` makes up for missed ticks,
//! `Skip` keeps to the grid, and `Delay` counts from the late tick (`interval_ticks`). An
//! error or a panic ends one run only. A single job needs just an `interval` and a loop.
//!
//! Bounds: one run of each job at once. unbounded: the jobs, and the time of a run.
//!
//! Trap: if a tick and the stop come together, `select!` without `biased` may begin one
//! more run; `run_until_cancelled` does so for sure.
//!
//! Trap: without a delay, all jobs of all processes run at the start. Give each process a
//! random `first`.
//!
//! In production: `tokio-cron-scheduler` knows times of the day; `croner` computes them.
//!
//! asyncio: asyncio.create_task, asyncio.timeout_at, asyncio.Event, loop.time
//! stderr: no template for mail 3
//! try: 60 -> usage

use std::any::Any;
use std::collections::HashMap;
use std::fmt::Display;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::select;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It returned this error.
    #[error("failed: {0}")]
    Error(String),
    /// It panicked with this text.
    #[error("crashed: {0}")]
    Crash(String),
}

/// Why a job was not added.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// There is a job of this name, or it was removed and has not ended yet.
    #[error("there is a job named {0} already")]
    NameTaken(String),
    /// The scheduler was stopped.
    #[error("no more jobs are taken")]
    Stopped,
}

/// Called after each run that fails, with the name of the job and the failure.
type Log = dyn Fn(&str, &Failure) + Send + Sync;

/// Runs jobs periodically, each in a task of its own.
///
/// Clones are handles to the same jobs. Dropping the last one aborts them all; a job that
/// holds one itself keeps them running.
#[derive(Clone)]
pub struct Scheduler {
    jobs: Arc<Mutex<Jobs>>,
    log: Arc<Log>,
}

struct Jobs {
    stopped: bool,
    by_name: HashMap<String, Job>,
    /// The names of those that have ended since they were last looked at.
    ended: mpsc::UnboundedReceiver<String>,
    ends: mpsc::UnboundedSender<String>,
}

impl Jobs {
    /// All of them, as a removal that was given up leaves its job here.
    fn forget_ended(&mut self) {
        while let Ok(name) = self.ended.try_recv() {
            self.by_name.remove(&name);
        }
    }
}

struct Job {
    stop: CancellationToken,
    /// Cancelled when the task is gone, however it ended.
    ended: CancellationToken,
    _task: AbortOnDropHandle<()>,
}

/// Is dropped when the task is gone. Until its name is taken from the channel no other
/// job can have it.
struct Ending {
    name: String,
    ends: mpsc::UnboundedSender<String>,
    ended: CancellationToken,
}

impl Drop for Ending {
    fn drop(&mut self) {
        // In this order: who has waited for the end finds the name. Without a scheduler
        // it fails.
        let _ = self.ends.send(mem::take(&mut self.name));
        self.ended.cancel();
    }
}

impl Scheduler {
    /// Returns a scheduler without jobs. If the log panics, the job that failed ends.
    pub fn new(log: impl Fn(&str, &Failure) + Send + Sync + 'static) -> Self {
        let (ends, ended) = mpsc::unbounded_channel();
        let jobs = Jobs {
            stopped: false,
            by_name: HashMap::new(),
            ended,
            ends,
        };
        Self {
            jobs: Arc::new(Mutex::new(jobs)),
            log: Arc::new(log),
        }
    }

    /// Adds a job: a closure that makes a future for each run. The first run begins after
    /// `first`, each further one a period later, but not while the one before still runs.
    ///
    /// A run has no time limit: put a `timeout` into it. Put what blocks its thread into
    /// `spawn_blocking`.
    ///
    /// # Errors
    ///
    /// [`AddError`], and then the job is dropped.
    ///
    /// # Panics
    ///
    /// If the period is zero, if the clock does not reach as far as `first`, and outside
    /// of a Tokio runtime.
    pub fn add<F, Fut, E>(
        &self,
        name: impl Into<String>,
        first: Duration,
        period: Duration,
        missed: MissedTickBehavior,
        job: F,
    ) -> Result<(), AddError>
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let name = name.into();
        let mut ticks = interval_at(Instant::now() + first, period);
        ticks.set_missed_tick_behavior(missed);

        let mut jobs = self.lock();
        if jobs.stopped {
            return Err(AddError::Stopped);
        }
        jobs.forget_ended();
        if jobs.by_name.contains_key(&name) {
            return Err(AddError::NameTaken(name));
        }
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let ending = Ending {
            name: name.clone(),
            ends: jobs.ends.clone(),
            ended: ended.clone(),
        };
        let task = repeat(ending, ticks, job, Arc::clone(&self.log), stop.clone());
        let _task = AbortOnDropHandle::new(tokio::spawn(task));
        let job = Job { stop, ended, _task };
        jobs.by_name.insert(name, job);
        Ok(())
    }

    /// Removes a job and waits until its run, if there is one, has ended. Tells whether
    /// there was such a job.
    ///
    /// Dropped while it waits, it has removed the job all the same: no run begins. A job
    /// that awaits its own removal waits for ever: `remove(name).now_or_never()` does it.
    pub async fn remove(&self, name: &str) -> bool {
        let Some(ended) = self.lock().by_name.get(name).map(|job| {
            job.stop.cancel();
            job.ended.clone()
        }) else {
            return false;
        };
        ended.cancelled().await;
        self.lock().forget_ended();
        true
    }

    /// Begins no more runs, takes no more jobs, and waits for the current runs, at most
    /// for the grace period. Then aborts the rest, does not wait for them, and returns
    /// the sorted names of their jobs.
    ///
    /// Dropped while it waits, it has stopped the jobs all the same, and aborts none. A
    /// job that awaits it waits for its own run as well, and is aborted.
    pub async fn stop(&self, grace: Duration) -> Vec<String> {
        let ended: Vec<CancellationToken> = {
            let mut jobs = self.lock();
            jobs.stopped = true;
            let stop = |job: &Job| {
                job.stop.cancel();
                job.ended.clone()
            };
            jobs.by_name.values().map(stop).collect()
        };
        let all = join_all(ended.iter().map(CancellationToken::cancelled));
        let _ = timeout(grace, all).await;
        let jobs = mem::take(&mut self.lock().by_name);
        let unfinished = jobs
            .into_iter()
            .filter(|(_, job)| !job.ended.is_cancelled());
        let mut unfinished: Vec<String> = unfinished.map(|(name, _)| name).collect();
        unfinished.sort();
        unfinished
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        // Nothing that can panic leaves the jobs half changed.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What tells of the end comes first, so that it is dropped last.
async fn repeat<Fut, E>(
    ending: Ending,
    mut ticks: Interval,
    mut job: impl FnMut() -> Fut,
    log: Arc<Log>,
    stop: CancellationToken,
) where
    Fut: Future<Output = Result<(), E>>,
    E: Display,
{
    loop {
        select! {
            biased;
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        // In a block, for `job` may panic before there is a future.
        let run = AssertUnwindSafe(async { job().await });
        match run.catch_unwind().await {
            Ok(Ok(())) => {}
            // With `#`, errors of the crate `anyhow` name their causes too.
            Ok(Err(error)) => log(&ending.name, &Failure::Error(format!("{error:#}"))),
            Err(payload) => log(&ending.name, &Failure::Crash(text(payload))),
        }
    }
}

/// What was panicked with: a `&str` if the text was fixed, else a `String`.
fn text(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other
            .downcast_ref::<&str>()
            .unwrap_or(&"no text")
            .to_string(),
    }
}

/// Runs a command periodically until Ctrl-C: `cargo run -- 60 sh backup.sh`.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let usage = "usage: SECONDS COMMAND [ARGUMENT...]";
    let mut arguments = std::env::args().skip(1);
    let seconds: std::num::NonZeroU64 = arguments.next().ok_or(usage)?.parse()?;
    let program = arguments.next().ok_or(usage)?;
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).kill_on_drop(true);
    let scheduler = Scheduler::new(|name, failure| eprintln!("{name} {failure}"));
    let period = Duration::from_secs(seconds.get());
    let skip = MissedTickBehavior::Skip;
    scheduler.add("command", Duration::ZERO, period, skip, move || {
        let run = command.status();
        async {
            let status = run.await?;
            let failed = || std::io::Error::other(status.to_string());
            status.success().then_some(()).ok_or_else(failed)
        }
    })?;
    tokio::signal::ctrl_c().await?;
    scheduler.stop(Duration::from_secs(10)).await;
    Ok(())
}
