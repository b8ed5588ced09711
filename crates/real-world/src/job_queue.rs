//! A job queue in SQLite: workers with leases, retries with back-off, dead letters.
//!
//! A `Queue` in memory loses its jobs with the program. Here a job is a row, claimed by
//! one `UPDATE .. RETURNING`, and only for a time, its lease, which the worker extends
//! while it works. When a worker was killed, another takes the job as its lease ends. The
//! trap is a worker that merely hung and comes back: both have the job now. So each claim
//! has a number, its attempt, and only the last one may complete the job. What a job does
//! to the database is committed together with its completion: exactly once. What it does
//! elsewhere, such as a mail, may be done twice; send the job's id along, so that it can
//! be told there. Tasks that share one connection in Python share its transaction, hence
//! the lock there; here a whole transaction is one message to the thread that owns the
//! connection. The crate `apalis` has such workers over PostgreSQL and Redis as well.
//!
//! asyncio: asyncio.TaskGroup, asyncio.Condition, asyncio.Event, asyncio.wait, finally
//! clock: real

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use rusqlite::{
    Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params,
};
use tokio::select;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Any error that may move to another thread; `?` makes it from yours.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A waiting job is due when it may be claimed, a running one when its lease ends; what
/// is done or dead is never due, and stays until you delete it. Times are microseconds
/// since 1970.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        payload TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting',
        attempt INTEGER NOT NULL DEFAULT 0,
        due INTEGER,
        error TEXT
    );
    CREATE INDEX IF NOT EXISTS jobs_due ON jobs (due, id) WHERE due IS NOT NULL;";

/// A worker whose lease ran out in the last attempt may have been killed by the job.
const BURY: &str = "
    UPDATE jobs SET state = 'dead', due = NULL, error = 'the lease ran out'
    WHERE due <= ?1 AND state = 'running' AND attempt >= ?2";

const CLAIM: &str = "
    UPDATE jobs SET state = 'running', attempt = attempt + 1, due = ?2
    WHERE id = (SELECT id FROM jobs WHERE due <= ?1 ORDER BY due, id LIMIT 1)
    RETURNING id, payload, attempt";

/// Changes one row, or none if the job was claimed again meanwhile.
const CHANGE: &str = "
    UPDATE jobs SET state = ?3, due = ?4, error = ?5
    WHERE id = ?1 AND attempt = ?2 AND state = 'running'";

/// How jobs are tried.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a claim holds. A worker extends it each time that a third has passed.
    pub lease: Duration,
    /// How many times a job is tried before it is dead; at least once.
    pub attempts: u32,
    /// The pause after the first failure. After each further one it is twice as long.
    pub backoff: Duration,
    /// How often a worker without work looks for what other programs have added, but
    /// never less often than once in the time of a lease.
    pub poll: Duration,
    /// What sets up the connection. With `PRAGMA synchronous = NORMAL` a power failure
    /// may undo the last commits, each of them whole; with `FULL` it undoes none.
    pub pragmas: &'static str,
}

/// A job that was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The same in each attempt.
    pub id: i64,
    /// What it was added with.
    pub payload: String,
    /// From 1 on.
    pub attempt: u32,
}

impl Job {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (id, payload, attempt) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Self {
            id,
            payload,
            attempt,
        })
    }
}

/// What [`JobQueue::claim`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// A job to work at.
    Job(Job),
    /// Nothing is due. Look again after this time, or when a job is added.
    Nothing(Duration),
}

/// Why a call failed. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The lease ran out, and the job was claimed again; or it was completed before.
    #[error("the lease was lost")]
    LeaseLost,
    /// The effect of a job returned an error or panicked.
    #[error("the effect failed: {0}")]
    Effect(Failure),
    #[error("the queue is closed")]
    Closed,
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

type Message = Box<dyn FnOnce(&mut Connection) + Send>;

/// A queue of jobs in a SQLite file, which several programs may use. Clones share it.
///
/// Its connection is on a thread of its own. A call that is dropped is either not begun
/// or done to its end, but it wakes no worker: a job that it adds may wait for the next
/// poll.
#[derive(Clone)]
pub struct JobQueue {
    line: mpsc::Sender<Message>,
    closed: CancellationToken,
    added: Arc<Notify>,
    settings: Settings,
}

impl JobQueue {
    /// Opens the file, and makes it if it is not there.
    ///
    /// # Errors
    ///
    /// [`QueueError::Sqlite`].
    pub async fn open(path: &Path, settings: Settings) -> Result<Self, QueueError> {
        let (line, mut messages) = mpsc::channel::<Message>(100);
        let (opened, ready) = oneshot::channel();
        let (path, pragmas) = (path.to_path_buf(), settings.pragmas);
        let closed = CancellationToken::new();
        let when_closed = closed.clone().drop_guard();
        thread::spawn(move || {
            let _when_closed = when_closed;
            let mut connection = match connect(path, pragmas) {
                Ok(connection) => connection,
                Err(error) => return drop(opened.send(Err(error))),
            };
            let _ = opened.send(Ok(()));
            while let Some(run) = messages.blocking_recv() {
                run(&mut connection);
            }
            drop(connection);
        });
        ready.await.map_err(|_| QueueError::Closed)??;
        let added = Arc::new(Notify::new());
        Ok(Self {
            line,
            closed,
            added,
            settings,
        })
    }

    /// Waits until the connection is closed. That is when all clones are dropped.
    pub async fn close(self) {
        let Self { line, closed, .. } = self;
        drop(line);
        closed.cancelled().await;
    }

    /// Runs `work` in a transaction, which is rolled back if it fails or panics.
    pub(crate) async fn transact<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, QueueError> + Send + 'static,
    ) -> Result<T, QueueError> {
        let (reply, result) = oneshot::channel();
        let run = move |connection: &mut Connection| {
            let transact = || {
                let immediate = TransactionBehavior::Immediate;
                let transaction = connection.transaction_with_behavior(immediate)?;
                let value = work(&transaction)?;
                transaction.commit()?;
                Ok(value)
            };
            let done = catch_unwind(AssertUnwindSafe(transact));
            let panicked = |_| Err(QueueError::Effect("it panicked".into()));
            let _ = reply.send(done.unwrap_or_else(panicked));
        };
        let sent = self.line.send(Box::new(run)).await;
        sent.map_err(|_| QueueError::Closed)?;
        result.await.map_err(|_| QueueError::Closed)?
    }

    /// Adds a job, and returns its id. A worker of this program is woken; others see it
    /// when they poll.
    ///
    /// # Errors
    ///
    /// [`QueueError::Sqlite`], [`QueueError::Closed`].
    pub async fn enqueue(&self, payload: &str) -> Result<i64, QueueError> {
        let payload = payload.to_owned();
        let add = move |transaction: &Transaction<'_>| {
            let add = "INSERT INTO jobs (payload, due) VALUES (?1, ?2)";
            let mut add = transaction.prepare_cached(add)?;
            Ok(add.insert(params![payload, in_future(Duration::ZERO)])?)
        };
        let id = self.transact(add).await?;
        self.added.notify_one();
        Ok(id)
    }

    /// Claims the job that is due first, one whose lease ran out included.
    ///
    /// Dropped, it may have claimed a job, which is claimed again when its lease ends.
    ///
    /// # Errors
    ///
    /// [`QueueError::Sqlite`], [`QueueError::Closed`].
    pub async fn claim(&self) -> Result<Claim, QueueError> {
        let settings = self.settings;
        let claim = move |transaction: &Transaction<'_>| {
            let (now, lease) = (in_future(Duration::ZERO), in_future(settings.lease));
            let mut bury = transaction.prepare_cached(BURY)?;
            bury.execute(params![now, settings.attempts])?;
            let mut claim = transaction.prepare_cached(CLAIM)?;
            let claimed = claim.query_row(params![now, lease], Job::from_row);
            if let Some(job) = claimed.optional()? {
                return Ok(Claim::Job(job));
            }
            let next = "SELECT min(due) FROM jobs WHERE due IS NOT NULL";
            let next: Option<i64> = transaction.query_row(next, [], |row| row.get(0))?;
            let until = next.and_then(|due| u64::try_from(due - now).ok());
            // A lease that begins after this look does not end within this time.
            let most = settings.poll.min(settings.lease);
            let until = until.map_or(most, Duration::from_micros);
            Ok(Claim::Nothing(until.min(most)))
        };
        self.transact(claim).await
    }

    /// Begins the lease anew.
    ///
    /// # Errors
    ///
    /// [`QueueError::LeaseLost`]: then the work should be stopped.
    pub async fn extend(&self, job: &Job) -> Result<(), QueueError> {
        let due = in_future(self.settings.lease);
        let (job, error) = (job.clone(), None);
        self.transact(move |transaction| {
            change(transaction, &job, "running", Some(due), error)
        })
        .await
    }

    /// Marks the job as done, and runs `effect` in the same transaction: both are there
    /// then, or neither.
    ///
    /// # Errors
    ///
    /// [`QueueError::LeaseLost`] and [`QueueError::Effect`]; then nothing was done.
    pub async fn complete<E>(&self, job: &Job, effect: E) -> Result<(), QueueError>
    where
        E: FnOnce(&Transaction<'_>) -> Result<(), Failure> + Send + 'static,
    {
        let job = job.clone();
        self.transact(move |transaction| {
            change(transaction, &job, "done", None, None)?;
            effect(transaction).map_err(QueueError::Effect)
        })
        .await
    }

    /// Has the job tried again, and returns after what pause; with `None` it is dead.
    ///
    /// # Errors
    ///
    /// [`QueueError::LeaseLost`]: another has the job, and nothing has changed.
    pub async fn fail(
        &self,
        job: &Job,
        error: &str,
    ) -> Result<Option<Duration>, QueueError> {
        let Settings {
            attempts, backoff, ..
        } = self.settings;
        let factor = 2_u32.saturating_pow(job.attempt.saturating_sub(1));
        let pause = backoff.saturating_mul(factor);
        let pause = (job.attempt < attempts).then_some(pause);
        let state = pause.map_or("dead", |_| "waiting");
        let (job, error) = (job.clone(), error.to_owned());
        self.transact(move |transaction| {
            let due = pause.map(in_future);
            change(transaction, &job, state, due, Some(&error))
        })
        .await?;
        // A worker that sleeps does not know yet when this job is due.
        self.added.notify_one();
        Ok(pause)
    }

    /// How many jobs there are in each state.
    ///
    /// # Errors
    ///
    /// [`QueueError::Sqlite`], [`QueueError::Closed`].
    pub async fn counts(&self) -> Result<Vec<(String, u32)>, QueueError> {
        let count = |transaction: &Transaction<'_>| {
            let query = "SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state";
            let mut query = transaction.prepare_cached(query)?;
            let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        };
        self.transact(count).await
    }

    /// The jobs that were tried as often as they may be, each with its last error.
    ///
    /// # Errors
    ///
    /// [`QueueError::Sqlite`], [`QueueError::Closed`].
    pub async fn dead_letters(&self) -> Result<Vec<(Job, String)>, QueueError> {
        let dead = |transaction: &Transaction<'_>| {
            let query =
                "SELECT id, payload, attempt, error FROM jobs WHERE state = 'dead'";
            let mut query = transaction.prepare_cached(query)?;
            let rows =
                query.query_map([], |row| Ok((Job::from_row(row)?, row.get(3)?)))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        };
        self.transact(dead).await
    }

    /// Works at one job after the other, until it is stopped; then it ends what it has
    /// begun. `handler` makes the future for a job, which runs in a task and returns its
    /// effect. If it fails or panics, the job is tried again.
    ///
    /// For several at once, run it several times. Dropped, it aborts its job, which is
    /// claimed again when the lease ends.
    ///
    /// # Errors
    ///
    /// [`QueueError::Sqlite`], for example if another program writes for 5 s, and
    /// [`QueueError::Closed`]. Then, too, its job is claimed again.
    pub async fn work<F, Fut, E>(
        &self,
        stop: &CancellationToken,
        mut handler: F,
    ) -> Result<(), QueueError>
    where
        F: FnMut(Job) -> Fut,
        Fut: Future<Output = Result<E, Failure>> + Send + 'static,
        E: FnOnce(&Transaction<'_>) -> Result<(), Failure> + Send + 'static,
    {
        while !stop.is_cancelled() {
            let job = {
                // Before it looks: what is added after that wakes it.
                let mut added = pin!(self.added.notified());
                added.as_mut().enable();
                match self.claim().await? {
                    Claim::Job(job) => job,
                    Claim::Nothing(pause) => {
                        select! {
                            () = added => {}
                            () = sleep(pause) => {}
                            () = stop.cancelled() => {}
                        }
                        continue;
                    }
                }
                // Dropped here, `added` wakes another worker if it was woken meanwhile.
            };
            let task = AbortOnDropHandle::new(tokio::spawn(handler(job.clone())));
            match self.attend(&job, task).await {
                // Another has the job now.
                Err(QueueError::LeaseLost) => {}
                attended => attended?,
            }
        }
        Ok(())
    }

    /// Extends the lease until the task has ended.
    async fn attend<E>(
        &self,
        job: &Job,
        mut task: AbortOnDropHandle<Result<E, Failure>>,
    ) -> Result<(), QueueError>
    where
        E: FnOnce(&Transaction<'_>) -> Result<(), Failure> + Send + 'static,
    {
        let third = (self.settings.lease / 3).max(Duration::from_millis(1));
        let mut beat = interval_at(Instant::now() + third, third);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            select! {
                ended = &mut task => break ended,
                _ = beat.tick() => self.extend(job).await?,
            }
        };
        let error = match ended {
            Ok(Ok(effect)) => match self.complete(job, effect).await {
                Err(QueueError::Effect(error)) => error,
                completed => return completed,
            },
            Ok(Err(error)) => error,
            Err(panicked) => panicked.into(),
        };
        self.fail(job, &error.to_string()).await?;
        Ok(())
    }
}

fn connect(path: PathBuf, pragmas: &str) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch("PRAGMA journal_mode = WAL")?;
    connection.execute_batch(pragmas)?;
    connection.execute_batch(TABLES)?;
    Ok(connection)
}

/// Microseconds since 1970. Programs that share the file must share the clock, too.
fn in_future(pause: Duration) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let then = now.unwrap_or_default().saturating_add(pause);
    i64::try_from(then.as_micros()).unwrap_or(i64::MAX)
}

fn change(
    transaction: &Transaction<'_>,
    job: &Job,
    state: &str,
    due: Option<i64>,
    error: Option<&str>,
) -> Result<(), QueueError> {
    let mut change = transaction.prepare_cached(CHANGE)?;
    match change.execute(params![job.id, job.attempt, state, due, error])? {
        0 => Err(QueueError::LeaseLost),
        _ => Ok(()),
    }
}

/// What a job does to the database.
fn count_letters(
    job: &Job,
) -> impl FnOnce(&Transaction<'_>) -> Result<(), Failure> + Send + use<> {
    let (id, text) = (job.id, job.payload.clone());
    move |transaction| {
        transaction.execute(
            "INSERT INTO letters VALUES (?1, length(?2))",
            params![id, text],
        )?;
        Ok(())
    }
}

/// Fails as often as the payload says; then takes as long as a lease, or longer.
async fn handle(
    job: Job,
) -> Result<impl FnOnce(&Transaction<'_>) -> Result<(), Failure> + Send, Failure> {
    let Job { id, attempt, .. } = job;
    println!("job {id}, attempt {attempt}: begun, {}", job.payload);
    let fails = match job.payload.as_str() {
        "flaky" => 2,
        "broken" => u32::MAX,
        _ => 0,
    };
    if attempt <= fails {
        println!("job {id}, attempt {attempt}: fails");
        return Err("scheduled".into());
    }
    let millis = if job.payload == "long" { 700 } else { 300 };
    sleep(Duration::from_millis(millis)).await;
    println!("job {id}, attempt {attempt}: ends");
    Ok(count_letters(&job))
}

/// Prints the jobs in each state, and what is recorded.
async fn show(queue: &JobQueue) -> Result<(), QueueError> {
    let counts = queue.counts().await?;
    let counts: Vec<_> = counts.iter().map(|(s, n)| format!("{n} {s}")).collect();
    let sum = queue.transact(|transaction| {
        let query = "SELECT count(*) FROM letters";
        Ok(transaction.query_row(query, [], |row| row.get::<_, u32>(0))?)
    });
    println!("{}; {} recorded", counts.join(", "), sum.await?);
    Ok(())
}

/// Begins a part of the demonstration so long after the start. Delays do not add up then.
async fn part(start: Instant, millis: u64, title: &str) {
    sleep_until(start + Duration::from_millis(millis)).await;
    println!("{title}");
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let folder = tempfile::tempdir()?;
    let settings = Settings {
        lease: Duration::from_millis(300),
        attempts: 3,
        backoff: Duration::from_millis(100),
        poll: Duration::from_secs(60),
        pragmas: "PRAGMA synchronous = NORMAL;
                  CREATE TABLE IF NOT EXISTS letters (job INTEGER, letters INTEGER)",
    };
    let queue = JobQueue::open(&folder.path().join("jobs.db"), settings).await?;

    part(start, 100, "A worker claims a job, and hangs:").await;
    queue.enqueue("hello").await?;
    let Claim::Job(job) = queue.claim().await? else {
        return Err("there is a job".into());
    };
    println!("job {}, attempt {}: claimed", job.id, job.attempt);
    println!("Two workers start, and wait for the end of its lease:");
    let stop = CancellationToken::new();
    let mut workers = JoinSet::new();
    for _ in 0..2 {
        let (queue, stop) = (queue.clone(), stop.clone());
        workers.spawn(async move { queue.work(&stop, handle).await });
    }
    at(900).await;
    println!("The one that hung comes back:");
    if let Err(error) = queue.complete(&job, count_letters(&job)).await {
        println!("job {}, attempt {}: {error}", job.id, job.attempt);
    }
    show(&queue).await?;

    part(start, 1100, "A job that is longer than its lease:").await;
    queue.enqueue("long").await?;

    part(start, 2100, "The workers are woken when a job is added:").await;
    for millis in [2100, 2200, 2300] {
        at(millis).await;
        println!("adds a job");
        queue.enqueue("short").await?;
    }

    part(start, 3000, "One fails twice:").await;
    queue.enqueue("flaky").await?;
    part(start, 3900, "One fails always:").await;
    queue.enqueue("broken").await?;
    at(4400).await;
    for (Job { id, payload, .. }, error) in queue.dead_letters().await? {
        println!("dead: job {id}, {payload}: {error}");
    }

    part(start, 4600, "Stopped, while two of three run:").await;
    for millis in [4600, 4700, 4800] {
        at(millis).await;
        println!("adds a job");
        queue.enqueue("short").await?;
    }
    stop.cancel();
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    println!("the workers have ended");
    show(&queue).await?;
    queue.close().await;
    folder.close()?;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
