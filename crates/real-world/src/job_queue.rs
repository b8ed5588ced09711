//! Keep a job queue in SQLite: jobs survive a crash, failed ones are retried.
//!
//! A job is a row of a table. A worker claims a job for a limited time, the lease. If
//! the worker is killed, another worker claims the job when the lease has expired. Add
//! a job in the transaction that writes your own data. Complete a job in the
//! transaction that writes its result: then the result is written exactly once. An
//! effect outside the database, such as a mail, may happen twice.
//!
//! Bounds: One transaction runs at a time; the others wait. Unbounded: The table.
//! Delete finished jobs.
//!
//! Trap: If a worker is slower than its lease, another worker claims the job too, and
//! both could write a result. So each claim has an attempt number, and only the latest
//! attempt may change the job. The slow worker gets the error "the lease was lost".
//!
//! In production: On PostgreSQL, workers claim concurrently with `SKIP LOCKED`. For
//! unique jobs, add a column with a UNIQUE index. For priorities, add a column, and sort
//! claims by it.
//!
//! See also: `pg_job_queue`, `redis_streams`, `job_workers`, `retry`.
//!
//! asyncio: asyncio.Queue, asyncio.Lock, asyncio.shield

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rusqlite::{
    Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params,
};
use tokio::sync::Mutex;
use tokio::task::{JoinError, spawn_blocking};

/// `due` is when a waiting job may be claimed, or when a running job's lease expires. It
/// counts microseconds since 1970. It is 0 for a job without delay, so that the clock
/// does not matter, and NULL for done and dead jobs.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        payload TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting',
        attempt INTEGER NOT NULL DEFAULT 0,
        due INTEGER,
        error TEXT
    );
    CREATE INDEX IF NOT EXISTS jobs_due ON jobs (due, id) WHERE due IS NOT NULL;
    CREATE INDEX IF NOT EXISTS jobs_running ON jobs (attempt) WHERE state = 'running';";

/// Ends a job whose last lease expired, because it may have killed its worker.
const BURY: &str = "
    UPDATE jobs INDEXED BY jobs_running
    SET state = 'dead', due = NULL, error = 'the lease expired'
    WHERE due <= ?1 AND state = 'running' AND attempt >= ?2";

/// Jobs that were delayed come first: they are few, and would wait for all others.
const CLAIM: &str = "
    UPDATE jobs SET state = 'running', attempt = attempt + 1, due = ?2
    WHERE id = coalesce(
        (SELECT id FROM jobs WHERE due > 0 AND due <= ?1 ORDER BY due, id LIMIT 1),
        (SELECT id FROM jobs WHERE due = 0 ORDER BY id LIMIT 1))
    RETURNING id, payload, attempt";

const REVIVE: &str = "
    UPDATE jobs SET state = 'waiting', attempt = 0, due = 0, error = NULL
    WHERE id = ?1 AND state = 'dead'";

/// Changes no row if the job has been claimed again. A worker in its last attempt may
/// still end a dead job, for example after a jump of the clock.
const CHANGE: &str = "
    UPDATE jobs SET state = ?3, due = ?4, error = ?5
    WHERE id = ?1 AND attempt = ?2 AND state IN ('running', 'dead')";

/// The settings of a queue. The methods take a connection or a transaction, and block.
#[derive(Clone, Copy, Debug)]
pub struct JobQueue {
    /// How long a claim holds, unless it is extended. If the system clock is set back, a
    /// lease, a delay and a backoff last longer by as much.
    pub lease: Duration,
    /// After this many attempts a job is dead.
    pub max_attempts: u32,
    /// The backoff after the first failure. It doubles with every further failure.
    pub initial_backoff: Duration,
    /// The longest backoff.
    pub max_backoff: Duration,
}

/// A claimed job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The same in every attempt, so that a receiver can recognise a repeat.
    pub id: i64,
    pub payload: String,
    /// Counts from 1.
    pub attempt: u32,
}

pub type Result<T, E = QueueError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The lease expired and the job was claimed again, or the job has been completed.
    #[error("the lease was lost")]
    LeaseLost,
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("a transaction panicked")]
    Panicked(#[from] JoinError),
    /// Any other error inside a transaction.
    #[error(transparent)]
    Other(#[from] Box<dyn Error + Send + Sync>),
}

impl JobQueue {
    /// Adds a job that is due after `delay`, and returns its id.
    pub fn enqueue(
        &self,
        db: &Connection,
        payload: &str,
        delay: Duration,
    ) -> Result<i64> {
        let sql = "INSERT INTO jobs (payload, due) VALUES (?1, ?2)";
        let mut insert = db.prepare_cached(sql)?;
        let due = (!delay.is_zero()).then(|| micros_from_now(delay));
        Ok(insert.insert(params![payload, due.unwrap_or(0)])?)
    }

    /// Claims the job whose delay, backoff or lease ended first, or else the oldest job
    /// without a delay.
    pub fn claim(&self, db: &Connection) -> Result<Option<Job>> {
        let now = micros_from_now(Duration::ZERO);
        let mut bury = db.prepare_cached(BURY)?;
        bury.execute(params![now, self.max_attempts])?;
        let mut claim = db.prepare_cached(CLAIM)?;
        let lease = micros_from_now(self.lease);
        Ok(claim.query_row(params![now, lease], job).optional()?)
    }

    /// Returns the time until a job is due. It is very long if there is none.
    pub fn next_due(&self, db: &Connection) -> Result<Duration> {
        let sql = "SELECT min(due) FROM jobs WHERE due IS NOT NULL";
        let due: Option<i64> = db.query_row(sql, [], |row| row.get(0))?;
        let micros = due.unwrap_or(i64::MAX) - micros_from_now(Duration::ZERO);
        Ok(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }

    /// Restarts the lease.
    pub fn extend(&self, db: &Connection, job: &Job) -> Result<()> {
        change(db, job, "running", Some(self.lease), None)
    }

    /// Marks the job as done. Write its result in the same transaction.
    pub fn complete(&self, db: &Connection, job: &Job) -> Result<()> {
        change(db, job, "done", None, None)
    }

    /// Schedules the next attempt, or marks the job as dead after the last one.
    pub fn fail(&self, db: &Connection, job: &Job, error: &str) -> Result<()> {
        let doubled = 2_u32.saturating_pow(job.attempt.saturating_sub(1));
        let backoff = self.initial_backoff.saturating_mul(doubled);
        let backoff = backoff.min(self.max_backoff);
        let retry = (job.attempt < self.max_attempts).then_some(backoff);
        let state = retry.map_or("dead", |_| "waiting");
        change(db, job, state, retry, Some(error))
    }

    /// Makes a dead job due again, and counts its attempts from 1. Returns whether it was
    /// dead. A worker that still has an old attempt may pass for that of the new one.
    pub fn revive(&self, db: &Connection, id: i64) -> Result<bool> {
        Ok(db.prepare_cached(REVIVE)?.execute([id])? > 0)
    }

    /// Returns the dead jobs, each with its last error.
    pub fn dead_letters(&self, db: &Connection) -> Result<Vec<(Job, String)>> {
        let sql = "SELECT id, payload, attempt, error FROM jobs WHERE state = 'dead'";
        let mut query = db.prepare_cached(sql)?;
        let letters = query.query_map([], |row| Ok((job(row)?, row.get(3)?)))?;
        Ok(letters.collect::<Result<_, _>>()?)
    }
}

fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        id: row.get(0)?,
        payload: row.get(1)?,
        attempt: row.get(2)?,
    })
}

fn change(
    db: &Connection,
    job: &Job,
    state: &str,
    due: Option<Duration>,
    error: Option<&str>,
) -> Result<()> {
    let mut change = db.prepare_cached(CHANGE)?;
    let due = due.map(micros_from_now);
    match change.execute(params![job.id, job.attempt, state, due, error])? {
        0 => Err(QueueError::LeaseLost),
        _ => Ok(()),
    }
}

fn micros_from_now(delay: Duration) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let then = now.unwrap_or_default().saturating_add(delay);
    i64::try_from(then.as_micros()).unwrap_or(i64::MAX)
}

/// A connection for async code. Clones share it.
#[derive(Clone, Debug)]
pub struct Database(Arc<Mutex<Connection>>);

impl Database {
    /// Returns a database over the connection, in WAL mode, with a table for the jobs.
    pub fn new(connection: Connection) -> Result<Self> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Runs `work` in a transaction, on a thread for blocking calls. Rolls back if `work`
    /// fails or panics.
    ///
    /// Dropping the future while it waits for its turn changes nothing. Dropping it
    /// later does not stop the transaction. Do not keep a future that has begun to wait
    /// and that you no longer await, as after a `select!`: it blocks all later calls
    /// (`futurelock`).
    pub async fn transaction<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let mut connection = Arc::clone(&self.0).lock_owned().await;
        let run = move || {
            // A transaction that starts as a reader can fail at its first write.
            let immediate = TransactionBehavior::Immediate;
            let transaction = connection.transaction_with_behavior(immediate)?;
            let value = work(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        spawn_blocking(run).await?
    }
}

/// Adds its arguments as jobs: `cargo run -- tea cake`. Without arguments, works on them.
#[tokio::main]
async fn main() -> Result<()> {
    let database = Database::new(Connection::open("jobs.db")?)?;
    let jobs = JobQueue {
        lease: Duration::from_secs(30),
        max_attempts: 5,
        initial_backoff: Duration::from_secs(1),
        max_backoff: Duration::from_secs(600),
    };
    for payload in std::env::args().skip(1) {
        let add = move |db: &Transaction<'_>| jobs.enqueue(db, &payload, Duration::ZERO);
        println!("added job {}", database.transaction(add).await?);
    }
    if std::env::args().len() > 1 {
        return Ok(());
    }
    while let Some(job) = database.transaction(move |db| jobs.claim(db)).await? {
        println!("job {}, attempt {}: {}", job.id, job.attempt, job.payload);
        database
            .transaction(move |db| jobs.complete(db, &job))
            .await?;
    }
    Ok(())
}

//@ clock: real
//@ try: tea cake -> added job 2
//@ try: -> job 2, attempt 1: cake
