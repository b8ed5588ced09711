//! Keep a job queue in PostgreSQL: workers of many machines claim jobs, and none is lost.
//!
//! Each job is a row. A worker claims a job for a limited time, the lease. If the
//! worker is killed, another worker claims the job when the lease has expired.
//! `SKIP LOCKED` skips the rows that other workers are claiming at this moment.
//! Complete a job in the transaction that writes its result: then the result is written
//! exactly once.
//!
//! Bounds: Each statement claims or changes one row. Unbounded: The table. Delete
//! finished jobs.
//!
//! Trap: If you claim by
//! `UPDATE .. WHERE id IN (SELECT .. LIMIT 1 FOR UPDATE SKIP LOCKED)`, one worker may
//! claim all jobs, because PostgreSQL may run the inner SELECT for each row. Put the
//! SELECT into a WITH, which runs once.
//!
//! Trap: If a worker is slower than its lease, another worker claims the job too, and
//! both could write a result. So each claim has an attempt number, and only the latest
//! attempt may change the job. The slow worker gets the error "the lease was lost".
//!
//! See also: `job_queue`, `pg_outbox`, `pg_listen`, `pg_pool`.
//!
//! asyncio: asyncio.Queue, asyncio.Lock

use std::time::Duration;

use deadpool_postgres::{Client, GenericClient};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// `due` is when a waiting job may be claimed, or when a running job's lease expires.
/// It is NULL for done and dead jobs. The batch is one transaction. Without the lock,
/// of programs that start at the same moment some fail: "duplicate key value". Any
/// number serves.
const SCHEMA: &str = "
    SELECT pg_advisory_xact_lock(1246908244);
    CREATE TABLE IF NOT EXISTS jobs (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        payload TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting',
        attempt INT NOT NULL DEFAULT 0,
        due TIMESTAMPTZ,
        error TEXT
    );
    CREATE INDEX IF NOT EXISTS jobs_due ON jobs (due, id) WHERE due IS NOT NULL;";

/// Asked first. `CREATE INDEX IF NOT EXISTS` waits for each transaction that has
/// changed a job, and all claims wait behind it. A role that may not create tables can
/// still start.
const EXISTS: &str = "
    SELECT to_regclass('jobs') IS NOT NULL AND to_regclass('jobs_due') IS NOT NULL";

const ENQUEUE: &str = "
    INSERT INTO jobs (payload, due)
    VALUES ($1, statement_timestamp() + $2::BIGINT * INTERVAL '1 microsecond')
    RETURNING id";

/// Claims the next job, or buries it if its last lease expired: it may have killed its
/// worker. The index gives one row, however many jobs wait.
const CLAIM: &str = "
    WITH next AS (
        SELECT id, state = 'running' AND attempt >= $2 AS is_dead FROM jobs
        WHERE due <= statement_timestamp()
        ORDER BY due, id LIMIT 1
        FOR UPDATE SKIP LOCKED
    )
    UPDATE jobs SET
        state = CASE WHEN is_dead THEN 'dead' ELSE 'running' END,
        attempt = CASE WHEN is_dead THEN attempt ELSE attempt + 1 END,
        error = CASE WHEN is_dead THEN 'the lease expired' ELSE error END,
        due = CASE WHEN is_dead THEN NULL
            ELSE statement_timestamp() + $1::BIGINT * INTERVAL '1 microsecond' END
    FROM next WHERE jobs.id = next.id
    RETURNING jobs.id, payload, attempt, is_dead";

/// Changes no row if the job has been claimed again. A worker in its last attempt may
/// still end a dead job.
const CHANGE: &str = "
    UPDATE jobs SET state = $3, error = $5,
        due = statement_timestamp() + $4::BIGINT * INTERVAL '1 microsecond'
    WHERE id = $1 AND attempt = $2 AND state IN ('running', 'dead')";

/// The settings of a queue. The methods take a client or a transaction of
/// `deadpool-postgres`, which keeps prepared statements. `tokio-postgres` prepares each
/// text again: one more round trip, and one more plan.
#[derive(Clone, Copy, Debug)]
pub struct JobQueue {
    /// How long a claim holds, unless it is extended.
    pub lease: Duration,
    /// After this many attempts a job is dead.
    pub max_attempts: i32,
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
    pub attempt: i32,
}

pub type Result<T, E = QueueError> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The lease expired and the job was claimed again, or the job has been completed.
    #[error("the lease was lost")]
    LeaseLost,
    /// If the connection broke, the change may have been made: claim or ask again.
    #[error("{}", .0.as_db_error().map_or_else(|| .0.to_string(), ToString::to_string))]
    Postgres(#[from] tokio_postgres::Error),
}

/// Creates the table, unless it is there.
pub async fn create_table(client: &tokio_postgres::Client) -> Result<()> {
    if !client.query_one(EXISTS, &[]).await?.get::<_, bool>(0) {
        client.batch_execute(SCHEMA).await?;
    }
    Ok(())
}

impl JobQueue {
    /// Adds a job that is due after `delay`, and returns its id. If `db` is a
    /// transaction, workers see the job when it is committed.
    pub async fn enqueue(
        &self,
        db: &impl GenericClient,
        payload: &str,
        delay: Duration,
    ) -> Result<i64> {
        let enqueue = db.prepare_cached(ENQUEUE).await?;
        let row = db.query_one(&enqueue, &[&payload, &micros(delay)]).await?;
        Ok(row.get(0))
    }

    /// Claims the job that is due longest. An expired lease makes a job due again. Takes
    /// no transaction: while one is open, nobody else could claim the job. If the default
    /// isolation is not `read committed`, it fails after a conflict: call it again.
    ///
    /// If the future is dropped, a job may be claimed until its lease expires.
    pub async fn claim(&self, client: &Client) -> Result<Option<Job>> {
        let claim = client.prepare_cached(CLAIM).await?;
        let values: [&(dyn ToSql + Sync); 2] = [&micros(self.lease), &self.max_attempts];
        loop {
            match client.query_opt(&claim, &values).await? {
                Some(row) if row.get("is_dead") => {}
                row => return Ok(row.map(job)),
            }
        }
    }

    /// Restarts the lease.
    pub async fn extend(&self, db: &impl GenericClient, job: &Job) -> Result<()> {
        change(db, job, "running", Some(self.lease), None).await
    }

    /// Marks the job as done. Write its result in the same transaction.
    pub async fn complete(&self, db: &impl GenericClient, job: &Job) -> Result<()> {
        change(db, job, "done", None, None).await
    }

    /// Schedules the next attempt, or marks the job as dead after the last one.
    pub async fn fail(
        &self,
        db: &impl GenericClient,
        job: &Job,
        error: &str,
    ) -> Result<()> {
        let before = u32::try_from(job.attempt - 1).unwrap_or(0);
        let backoff = self
            .initial_backoff
            .saturating_mul(2_u32.saturating_pow(before));
        let backoff = backoff.min(self.max_backoff);
        let retry = (job.attempt < self.max_attempts).then_some(backoff);
        let state = retry.map_or("dead", |_| "waiting");
        // PostgreSQL stores no NUL.
        change(db, job, state, retry, Some(&error.replace('\0', " "))).await
    }

    /// Returns the oldest dead jobs, each with its last error.
    pub async fn dead_letters(
        &self,
        db: &impl GenericClient,
        limit: u32,
    ) -> Result<Vec<(Job, String)>> {
        let sql = "SELECT id, payload, attempt, error FROM jobs WHERE state = 'dead'
                   ORDER BY id LIMIT $1";
        let letters = db.query(sql, &[&i64::from(limit)]).await?.into_iter();
        Ok(letters
            .map(|row| (row.get(3), job(row)))
            .map(|(e, job)| (job, e))
            .collect())
    }
}

fn job(row: Row) -> Job {
    Job {
        id: row.get(0),
        payload: row.get(1),
        attempt: row.get(2),
    }
}

async fn change(
    db: &impl GenericClient,
    job: &Job,
    state: &str,
    due: Option<Duration>,
    error: Option<&str>,
) -> Result<()> {
    let due = due.map(micros);
    let values: [&(dyn ToSql + Sync); 5] = [&job.id, &job.attempt, &state, &due, &error];
    let change = db.prepare_cached(CHANGE).await?;
    match db.execute(&change, &values).await? {
        0 => Err(QueueError::LeaseLost),
        _ => Ok(()),
    }
}

/// Returns microseconds, at most a thousand years: later than that no date is valid.
fn micros(duration: Duration) -> i64 {
    let longest = Duration::from_secs(1000 * 365 * 24 * 3600);
    duration.min(longest).as_micros() as i64
}

/// Adds its arguments as jobs: `cargo run -- tea cake`. Without arguments, works on them.
#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::var("DATABASE_URL");
    let url =
        url.map_err(|_| "set DATABASE_URL, as in postgres://user@localhost/database")?;
    let manager = deadpool_postgres::Manager::new(url.parse()?, tokio_postgres::NoTls);
    let pool = deadpool_postgres::Pool::builder(manager).build()?;
    let client = pool.get().await?;
    create_table(&client).await?;
    let jobs = JobQueue {
        lease: Duration::from_secs(30),
        max_attempts: 5,
        initial_backoff: Duration::from_secs(1),
        max_backoff: Duration::from_secs(600),
    };
    for payload in std::env::args().skip(1) {
        let id = jobs.enqueue(&client, &payload, Duration::ZERO).await?;
        println!("added job {id}");
    }
    if std::env::args().len() > 1 {
        return Ok(());
    }
    while let Some(job) = jobs.claim(&client).await? {
        println!("job {}, attempt {}: {}", job.id, job.attempt, job.payload);
        jobs.complete(&client, &job).await?;
    }
    Ok(())
}

//@ clock: real
//@ try: tea cake -> added job
//@ try: -> attempt 1: cake
