//! Scheduler for periodic jobs: every n seconds, no overlap, missed ticks, failures.
//!
//! A task for each job ticks by an `interval`, so it does not drift, and runs do not
//! overlap, for it awaits each. For a run that takes longer than its period there is
//! `MissedTickBehavior`: `Burst` makes up for what was missed, `Skip` goes on with the
//! grid, `Delay` counts from the late tick (`interval_ticks`). An error or a panic ends
//! that run alone; in a bare task, a panic would end the job. The trap is at the stop:
//! when a tick and the token come at the same moment, a `select!` without `biased` may
//! begin one more run, and `run_until_cancelled` begins it for sure. The clock is
//! monotonic, as `loop.time()` is: nobody can set it, and it knows no dates. Cron
//! expressions and times of the day: the crate `croner` for the times alone, or
//! `tokio-cron-scheduler`.
//!
//! asyncio: asyncio.create_task, asyncio.timeout_at, asyncio.Event, loop.time
//! stderr: no template for mail 3

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::select;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It returned this error.
    Error(String),
    /// It panicked with this text.
    Crash(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => write!(f, "failed: {error}"),
            Self::Crash(text) => write!(f, "crashed: {text}"),
        }
    }
}

/// Why a job was not added.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// One of this name is there, or was removed and has not ended yet.
    #[error("there is a job named {0} already")]
    NameTaken(String),
    /// The scheduler was stopped.
    #[error("no more jobs are taken")]
    Stopped,
}

/// What a scheduler calls after each run that fails: with the name of the job, and why.
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
    /// Without jobs. If the log panics, that ends the job whose run has failed.
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

    /// Adds a job: a closure that makes a future for each run. The first begins at once,
    /// each further one a period after the one before it, but not while that still runs.
    ///
    /// Nothing limits a run: put a `timeout` into it. What blocks its thread belongs in
    /// `spawn_blocking`.
    ///
    /// # Errors
    ///
    /// [`AddError`], and then the job is dropped.
    ///
    /// # Panics
    ///
    /// If the period is zero, or outside of a Tokio runtime.
    pub fn add<F, Fut, E>(
        &self,
        name: impl Into<String>,
        period: Duration,
        missed: MissedTickBehavior,
        job: F,
    ) -> Result<(), AddError>
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let name = name.into();
        let mut ticks = interval(period);
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

    /// Begins no more runs, takes no more jobs, and waits for the runs that have begun,
    /// but no longer than the grace period. Returns the sorted names of the jobs whose
    /// runs had not ended by then: they are aborted, but not waited for.
    ///
    /// Dropped while it waits, it has stopped the jobs all the same, and aborts none. A
    /// job that awaits it waits for its own run, too, and is aborted.
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
    E: fmt::Display,
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

/// A run of a job.
async fn work(name: &str, number: u32, millis: u64) -> Result<(), String> {
    println!("{name} {number} begins");
    sleep(Duration::from_millis(millis)).await;
    println!("{name} {number} is done");
    Ok(())
}

async fn send_mail(number: u32) -> Result<(), String> {
    assert!(number != 3, "no template for mail {number}");
    if number == 2 {
        return Err("no address".to_owned());
    }
    println!("mail {number} sent");
    Ok(())
}

pub async fn run() -> Result<(), AddError> {
    let millis = Duration::from_millis;
    let period = millis(200);
    let scheduler = Scheduler::new(|name, failure| println!("{name} {failure}"));

    for missed in [
        MissedTickBehavior::Burst,
        MissedTickBehavior::Delay,
        MissedTickBehavior::Skip,
    ] {
        println!("{missed:?}, each 200 ms, and the second run takes 450:");
        let mut number = 0;
        scheduler.add("report", period, missed, move || {
            number += 1;
            work("report", number, if number == 2 { 450 } else { 20 })
        })?;
        sleep(millis(950)).await;
        scheduler.remove("report").await;
    }

    println!("A run that fails, one that crashes, and another job:");
    let skip = MissedTickBehavior::Skip;
    let mut mail = 0;
    scheduler.add("mail", period, skip, move || {
        mail += 1;
        send_mail(mail)
    })?;
    sleep(millis(100)).await;
    scheduler.add("backup", period, skip, async || {
        println!("backup");
        Ok::<(), String>(())
    })?;
    sleep(millis(550)).await;
    scheduler.remove("mail").await;
    scheduler.remove("backup").await;

    println!("Removed while it runs, with a handle:");
    let handle = scheduler.clone();
    handle.add("report", period, skip, || work("report", 1, 300))?;
    sleep(millis(100)).await;
    if let Err(error) = handle.add("report", period, skip, || work("report", 2, 300)) {
        println!("{error}");
    }
    for _ in 0..2 {
        match handle.remove("report").await {
            true => println!("removed"),
            false => println!("there is no job named report"),
        }
    }

    println!("Stopped, with 200 ms for what runs:");
    scheduler.add("short", period, skip, || work("short", 1, 350))?;
    sleep(millis(100)).await;
    scheduler.add("long", period, skip, || work("long", 1, 5000))?;
    sleep(millis(150)).await;
    let unfinished = scheduler.stop(millis(200)).await;
    println!("aborted: {}", unfinished.join(", "));
    if let Err(error) = handle.add("late", period, skip, || work("late", 1, 0)) {
        println!("{error}");
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), AddError> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
    use std::sync::{Arc, Mutex};
    use std::task::Poll;
    use std::time::Duration;

    use futures::FutureExt;
    use tokio::task::JoinSet;
    use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
    use tokio_util::sync::CancellationToken;

    use super::{AddError, Failure, Scheduler};

    const BURST: MissedTickBehavior = MissedTickBehavior::Burst;
    const HOUR: Duration = Duration::from_secs(3600);
    const TICK: Duration = Duration::from_millis(1);

    fn scheduler() -> Scheduler {
        Scheduler::new(|name, failure| panic!("{name} {failure}"))
    }

    /// Adds a job that counts the runs that begin, each of which takes so long.
    fn add(
        scheduler: &Scheduler,
        name: &str,
        period: Duration,
        takes: Duration,
    ) -> Count {
        let count = Count::default();
        let runs = Arc::clone(&count.0);
        let added = scheduler.add(name, period, BURST, move || {
            runs.fetch_add(1, SeqCst);
            async move {
                sleep(takes).await;
                Ok::<(), String>(())
            }
        });
        added.expect("a new name");
        count
    }

    #[derive(Default)]
    struct Count(Arc<AtomicU32>);

    impl Count {
        fn get(&self) -> u32 {
            self.0.load(SeqCst)
        }
    }

    /// Polls the future so often, a millisecond apart, and drops it if it is not ready.
    async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
        let mut future = pin!(future);
        for _ in 0..polls {
            if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
                return Some(output);
            }
            sleep(TICK).await;
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn without_drift() {
        let scheduler = scheduler();
        let count = add(&scheduler, "a", 10 * TICK, 3 * TICK);
        sleep(10_000 * TICK + TICK).await;
        assert_eq!(count.get(), 1001);
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_while_it_waits_it_has_stopped_all_the_same() {
        for polls in 1..12 {
            let scheduler = scheduler();
            let count = add(&scheduler, "a", TICK, 10 * TICK);
            sleep(TICK).await;
            let removed = poll_and_drop(scheduler.remove("a"), polls).await;
            assert_eq!(removed, (polls > 10).then_some(true));
            // After the last poll it has waited a millisecond more.
            let again = scheduler.add("a", TICK, BURST, pending::<Result<(), String>>);
            match polls {
                10.. => assert_eq!(again, Ok(())),
                _ => assert_eq!(again, Err(AddError::NameTaken("a".to_owned()))),
            }
            sleep(50 * TICK).await;
            assert_eq!(count.get(), 1);

            let scheduler = self::scheduler();
            let count = add(&scheduler, "a", TICK, 10 * TICK);
            sleep(TICK).await;
            poll_and_drop(scheduler.stop(HOUR), polls).await;
            let again = scheduler.add("b", TICK, BURST, pending::<Result<(), String>>);
            assert_eq!(again, Err(AddError::Stopped));
            sleep(50 * TICK).await;
            assert_eq!(count.get(), 1);
            assert!(
                scheduler.stop(Duration::ZERO).await.is_empty(),
                "it had ended"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_removes_or_stops_itself() {
        let scheduler = scheduler();
        for how in ["now", "await", "stop"] {
            let (own, count) = (scheduler.clone(), Count::default());
            let runs = Arc::clone(&count.0);
            let added = scheduler.add(how, TICK, BURST, move || {
                let own = own.clone();
                runs.fetch_add(1, SeqCst);
                async move {
                    match how {
                        "now" => drop(own.remove(how).now_or_never()),
                        "await" => drop(own.remove(how).await),
                        _ => drop(own.stop(HOUR).await),
                    }
                    Ok::<(), String>(())
                }
            });
            assert_eq!(added, Ok(()));
            sleep(10 * TICK).await;
            assert_eq!(count.get(), 1);
        }
        assert_eq!(scheduler.lock().by_name.len(), 2, "two wait");
        sleep(HOUR).await;
        assert_eq!(Arc::strong_count(&scheduler.jobs), 1, "they were aborted");
    }

    #[tokio::test(start_paused = true)]
    async fn removals_that_were_given_up_leave_no_jobs() {
        let scheduler = scheduler();
        for number in 0..5 {
            let name = number.to_string();
            add(&scheduler, &name, HOUR, 10 * TICK);
            sleep(TICK).await;
            assert!(poll_and_drop(scheduler.remove(&name), 1).await.is_none());
            sleep(20 * TICK).await;
        }
        add(&scheduler, "a", HOUR, TICK);
        assert_eq!(scheduler.lock().by_name.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_removed_name_is_free_again() {
        let scheduler = scheduler();
        let old = add(&scheduler, "a", HOUR, 5 * TICK);
        sleep(TICK).await;
        assert!(poll_and_drop(scheduler.remove("a"), 2).await.is_none());
        let mut late = pin!(scheduler.remove("a"));
        assert!(futures::poll!(late.as_mut()).is_pending());
        sleep(10 * TICK).await;
        let new = add(&scheduler, "a", HOUR, 5 * TICK);
        assert!(late.await);
        assert!(
            scheduler.remove("a").await,
            "the new one is not the old one"
        );
        assert!(!scheduler.remove("a").await);
        // The new one was removed before its first poll.
        assert_eq!((old.get(), new.get()), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_moment_of_a_tick_no_run_begins() {
        for _ in 0..20 {
            let scheduler = scheduler();
            let count = add(&scheduler, "a", 10 * TICK, 10 * TICK);
            sleep(5 * TICK).await;
            // It ends when the next tick is due.
            assert!(scheduler.stop(HOUR).await.is_empty());
            sleep(50 * TICK).await;
            assert_eq!(count.get(), 1);
        }

        let (stop, mut ticks) = (CancellationToken::new(), interval(10 * TICK));
        ticks.tick().await;
        let both = stop.run_until_cancelled(ticks.tick());
        let mut both = pin!(both);
        assert!(futures::poll!(both.as_mut()).is_pending());
        tokio::time::advance(10 * TICK).await;
        stop.cancel();
        assert!(both.await.is_some(), "the tick comes first");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_jobs_come_and_go() {
        let scheduler = scheduler();
        let running: Arc<Vec<AtomicUsize>> =
            Arc::new((0..50).map(|_| 0.into()).collect());
        let runs = Arc::new(AtomicU32::new(0));
        let mut set = JoinSet::new();
        for task in 0..200 {
            let (scheduler, running) = (scheduler.clone(), Arc::clone(&running));
            let runs = Arc::clone(&runs);
            set.spawn(async move {
                let name = task % 50;
                let job = move || {
                    let (running, runs) = (Arc::clone(&running), Arc::clone(&runs));
                    async move {
                        assert_eq!(running[name].fetch_add(1, SeqCst), 0, "no overlap");
                        runs.fetch_add(1, SeqCst);
                        sleep(2 * TICK).await;
                        running[name].fetch_sub(1, SeqCst);
                        Ok::<(), String>(())
                    }
                };
                for _ in 0..5 {
                    let _ = scheduler.add(name.to_string(), TICK, BURST, job.clone());
                    sleep(3 * TICK).await;
                    scheduler.remove(&name.to_string()).await;
                }
                let _ = scheduler.add(name.to_string(), TICK, BURST, job);
            });
        }
        let all = async { while set.join_next().await.is_some_and(|one| one.is_ok()) {} };
        timeout(HOUR, all).await.expect("nobody hangs");
        assert!(scheduler.stop(HOUR).await.is_empty());
        let after = runs.load(SeqCst);
        assert!(after > 200);
        assert!(running.iter().all(|running| running.load(SeqCst) == 0));
        sleep(10 * TICK).await;
        assert_eq!(runs.load(SeqCst), after);
    }

    #[tokio::test(start_paused = true)]
    async fn limits() {
        let zero = catch_unwind(AssertUnwindSafe(|| {
            let never = pending::<Result<(), String>>;
            scheduler().add("a", Duration::ZERO, BURST, never)
        }));
        assert!(zero.is_err());

        let scheduler = scheduler();
        assert!(!scheduler.remove("a").await);
        let held = Arc::new(());
        for name in ["b", "a", "c"] {
            let held = Arc::clone(&held);
            let job = move || {
                let held = Arc::clone(&held);
                async move {
                    sleep(if name == "c" { TICK } else { HOUR }).await;
                    drop(held);
                    Ok::<(), String>(())
                }
            };
            assert_eq!(scheduler.add(name, HOUR, BURST, job), Ok(()));
        }
        sleep(2 * TICK).await;
        let begun = Instant::now();
        assert_eq!(scheduler.stop(5 * TICK).await, ["a", "b"]);
        assert_eq!(begun.elapsed(), 5 * TICK);
        sleep(TICK).await;
        assert_eq!(Arc::strong_count(&held), 1, "they are gone");
        assert!(scheduler.stop(HOUR).await.is_empty());
        assert_eq!(begun.elapsed(), 6 * TICK);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_panic() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&log);
        let scheduler = Scheduler::new(move |name, failure: &Failure| {
            assert!(name != "log", "the disk is full");
            seen.lock().expect("no panic").push(failure.clone());
        });
        let mut number = 0;
        let job = move || {
            number += 1;
            assert!(number != 2, "closure");
            async move {
                assert!(number != 3, "future {number}");
                if number == 4 { Err("error") } else { Ok(()) }
            }
        };
        assert_eq!(scheduler.add("a", TICK, BURST, job), Ok(()));
        let fails = async || Err("error");
        assert_eq!(scheduler.add("log", TICK, BURST, fails), Ok(()));
        sleep(20 * TICK).await;
        let expected = [
            Failure::Crash("closure".to_owned()),
            Failure::Crash("future 3".to_owned()),
            Failure::Error("error".to_owned()),
        ];
        assert_eq!(*log.lock().expect("no panic"), expected);
        assert_eq!(
            scheduler.add("log", TICK, BURST, fails),
            Ok(()),
            "it has ended"
        );
        assert!(scheduler.remove("a").await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_handle_aborts_the_jobs() {
        let scheduler = scheduler();
        let count = add(&scheduler, "a", TICK, Duration::ZERO);
        let clone = scheduler.clone();
        drop(scheduler);
        sleep(10 * TICK).await;
        let runs = count.get();
        assert!(runs >= 10);
        drop(clone);
        sleep(10 * TICK).await;
        assert_eq!(count.get(), runs);
    }

    #[tokio::test]
    async fn in_a_struct_in_a_task_with_jobs_that_add_jobs() {
        struct App {
            scheduler: Scheduler,
            added: AtomicU32,
        }
        let app = Arc::new(App {
            scheduler: scheduler(),
            added: AtomicU32::new(0),
        });
        let task = tokio::spawn(async move {
            let shared = Arc::clone(&app);
            let added = app.scheduler.add("a", TICK, BURST, move || {
                let app = Arc::clone(&shared);
                async move {
                    let number = app.added.fetch_add(1, SeqCst);
                    let job = async || Ok::<(), String>(());
                    app.scheduler.add(number.to_string(), HOUR, BURST, job)
                }
            });
            added.expect("a new name");
            while app.added.load(SeqCst) < 5 {
                sleep(TICK).await;
            }
            assert!(app.scheduler.remove("a").await);
            assert!(app.scheduler.remove("4").await);
            app.scheduler.stop(HOUR).await
        });
        assert!(task.await.expect("it is Send").is_empty());
    }
}
