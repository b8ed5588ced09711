//! Run workers over a job queue in PostgreSQL: N at the same time, and a graceful stop.
//!
//! A worker claims a job for a limited time, its lease, and extends the lease while it
//! works. It completes the job in the transaction that writes the result. An idle
//! worker is woken by LISTEN; if a notification is lost, it looks for jobs every `poll`
//! anyway. After `stop`, running jobs are finished. Celery and arq are separate
//! programs for this; here it is part of yours. The table is that of `pg_job_queue`.
//!
//! Bounds: At most `concurrency` jobs run, each for `max_runtime`; then its attempt
//! fails. A process takes one connection for each of these jobs, one to extend leases,
//! and one to listen.
//!
//! Trap: If you claim a job and work on it in one transaction, its row stays locked.
//! When the worker's connection goes silent, nobody else gets the job until the server
//! notices. Claim the job in its own statement, with a lease.
//!
//! In production: The crates `apalis` and `apalis-postgres` have such workers. There
//! the job of a killed worker waits five minutes, unless you set `heartbeat_interval`.
//!
//! See also: `pg_job_queue`, `pg_listen`, `pg_pool`, `job_workers`.
//!
//! asyncio: asyncio.TaskGroup, asyncio.Event, asyncio.wait_for

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::iter::successors;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    GenericClient, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Transaction,
};
use futures::future::join_all;
use tokio::select;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Config, NoTls};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// A worker hears of the job when the transaction is committed.
const ENQUEUE: &str = "
    INSERT INTO jobs (payload, due) VALUES ($1, statement_timestamp())
    RETURNING id, pg_notify('jobs', '')::TEXT";

/// Claims the job that is due longest.
const CLAIM: &str = "
    WITH next AS (
        SELECT id FROM jobs WHERE due <= statement_timestamp()
        ORDER BY due, id LIMIT 1
        FOR UPDATE SKIP LOCKED
    )
    UPDATE jobs SET state = 'running', attempt = attempt + 1,
        due = statement_timestamp() + $1::FLOAT8 * INTERVAL '1 s'
    FROM next WHERE jobs.id = next.id
    RETURNING jobs.id, payload, attempt";

/// Changes no row if the job has been claimed again.
const CHANGE: &str = "
    UPDATE jobs SET state = $3, error = $5,
        due = statement_timestamp() + $4::FLOAT8 * INTERVAL '1 s'
    WHERE id = $1 AND attempt = $2 AND state = 'running'";

/// How long the job that is due longest has been waiting, in seconds.
const LAG: &str = "
    SELECT coalesce(extract(EPOCH FROM statement_timestamp() - min(due)), 0)::FLOAT8
    FROM jobs WHERE due <= statement_timestamp() AND state = 'waiting'";

/// Any error that can move to another thread. `?` converts every other error into it.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A claimed job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: i64,
    pub payload: String,
    /// Counts from 1.
    pub attempt: i32,
}

/// What is done with a job.
pub trait Handler: Send + Sync + 'static {
    type Output: Send + 'static;

    /// Does the work. Without a transaction, as it may take long.
    fn work(
        &self,
        job: &Job,
    ) -> impl Future<Output = Result<Self::Output, Failure>> + Send;

    /// Writes the result, in the transaction that completes the job.
    fn store(
        &self,
        db: &Transaction<'_>,
        job: &Job,
        output: Self::Output,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Logs a failed attempt, or an error of the server. The worker keeps running.
    fn report(&self, error: Failure);
}

/// The settings of one process. Other processes may work on the same table.
#[derive(Debug)]
pub struct Worker<H> {
    pub config: Config,
    pub handler: Arc<H>,
    /// How many jobs run at the same time.
    pub concurrency: usize,
    /// How long a claim holds. It is extended after each third of this time.
    pub lease: Duration,
    /// A handler that runs for longer is aborted, and its attempt fails.
    pub max_runtime: Duration,
    /// After this many attempts a job is dead.
    pub max_attempts: i32,
    /// The pause after a failed attempt.
    pub backoff: Duration,
    /// How often an idle worker looks for jobs: after a backoff, or an expired lease.
    pub poll: Duration,
}

/// Adds a job, and returns its id.
pub async fn enqueue(db: &impl GenericClient, payload: &str) -> Result<i64, Failure> {
    Ok(db.query_one(ENQUEUE, &[&payload]).await?.get(0))
}

/// Returns how long the oldest due job has been waiting: a metric to watch.
pub async fn lag(db: &impl GenericClient) -> Result<Duration, Failure> {
    let row = db.query_one(LAG, &[]).await?;
    Ok(Duration::from_secs_f64(row.get(0)))
}

impl<H: Handler> Worker<H> {
    /// Works until `stop` is cancelled; then finishes the running jobs. That may take
    /// `max_runtime`, and three leases if the server is silent.
    ///
    /// Dropping the future aborts the jobs. Each is claimed again after its lease. To end
    /// sooner after `stop`, put a `timeout` around the future.
    pub async fn run(&self, stop: &CancellationToken) {
        // A connection that went silent is replaced.
        let recycling_method = RecyclingMethod::Verified;
        let verified = ManagerConfig { recycling_method };
        let manager = Manager::from_config(self.config.clone(), NoTls, verified);
        let pool = Pool::builder(manager)
            .max_size(self.concurrency + 1)
            .runtime(Runtime::Tokio1)
            .recycle_timeout(Some(self.lease / 3))
            .build()
            .expect("it has a runtime for its timeouts");
        let wake = Notify::new();
        let slots = (0..self.concurrency).map(|_| self.slot(&pool, &wake, stop));
        select! {
            _ = join_all(slots) => {}
            never = self.listen(&wake) => match never {},
        }
    }

    /// Wakes a slot for each notification.
    async fn listen(&self, wake: &Notify) -> Infallible {
        loop {
            let Err(error) = self.session(wake).await;
            self.handler.report(error);
            // Until then the worker polls.
            sleep(self.poll).await;
        }
    }

    /// Listens on one connection until it is lost, or silent.
    async fn session(&self, wake: &Notify) -> Result<Infallible, Failure> {
        let connect = async { Ok(self.config.connect(NoTls).await?) };
        let (client, mut connection) = self.in_time(connect).await?;
        let hear = async {
            loop {
                let message = poll_fn(|context| connection.poll_message(context)).await;
                let message = message.ok_or("the connection was closed")??;
                if let AsyncMessage::Notification(_) = message {
                    wake.notify_one();
                }
            }
        };
        let ask = async {
            loop {
                // LISTEN again, as only an answer shows that the server is there.
                let listen = async { Ok(client.batch_execute("LISTEN jobs").await?) };
                self.in_time(listen).await?;
                sleep(self.poll).await;
            }
        };
        select! {
            lost = hear => lost,
            lost = ask => lost,
        }
    }

    async fn slot(&self, pool: &Pool, wake: &Notify, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match self.in_time(self.claim(pool)).await {
                Ok(Some(job)) => {
                    // More jobs may be due, and this slot is busy now.
                    wake.notify_one();
                    if let Err(error) = self.attend(pool, &job).await {
                        let text = causes(&*error);
                        self.handler.report(error);
                        let failing = self.in_time(self.fail(pool, &job, &text)).await;
                        failing.unwrap_or_else(|error| self.handler.report(error));
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => self.handler.report(error),
            }
            select! {
                () = wake.notified() => {}
                () = sleep(self.poll) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Limits a call to the lease: the connection may be silent.
    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        timeout(self.lease, call).await?
    }

    /// In its own statement, so that the claim is committed.
    async fn claim(&self, pool: &Pool) -> Result<Option<Job>, Failure> {
        let (db, lease) = (pool.get().await?, self.lease.as_secs_f64());
        let claim = db.prepare_cached(CLAIM).await?;
        let row = db.query_opt(&claim, &[&lease]).await?;
        Ok(row.map(|row| Job {
            id: row.get(0),
            payload: row.get(1),
            attempt: row.get(2),
        }))
    }

    /// Does the work of one job, and completes it.
    async fn attend(&self, pool: &Pool, job: &Job) -> Result<(), Failure> {
        if job.attempt > self.max_attempts {
            // Perhaps it killed its worker.
            return Err("the lease of the last attempt expired".into());
        }
        let output = self.work(pool, job).await?;
        self.in_time(self.complete(pool, job, output)).await
    }

    /// Runs the handler, and extends the lease while it runs.
    async fn work(&self, pool: &Pool, job: &Job) -> Result<H::Output, Failure> {
        let (handler, job_of_task) = (self.handler.clone(), job.clone());
        let max_runtime = self.max_runtime;
        // In a task, so that a panic ends this attempt and not the worker.
        let mut task = AbortOnDropHandle::new(tokio::spawn(async move {
            timeout(max_runtime, handler.work(&job_of_task)).await?
        }));
        let third = self.lease / 3;
        let mut extended = Instant::now();
        loop {
            if let Ok(joined) = timeout(third, &mut task).await {
                return joined?;
            }
            let now = Instant::now();
            let extending = async {
                change(&pool.get().await?, job, "running", Some(self.lease), None).await
            };
            match timeout(third, extending).await {
                Ok(Ok(true)) => extended = now,
                Ok(Ok(false)) => return Err("the lease was lost".into()),
                // The server may be back before the lease expires.
                _ if extended.elapsed() + third < self.lease => {}
                _ => return Err("the lease could not be extended".into()),
            }
        }
    }

    /// Writes the result, and marks the job as done, in one transaction.
    async fn complete(
        &self,
        pool: &Pool,
        job: &Job,
        output: H::Output,
    ) -> Result<(), Failure> {
        let mut client = pool.get().await?;
        let transaction = client.transaction().await?;
        if !change(&transaction, job, "done", None, None).await? {
            return Err("the lease was lost".into());
        }
        self.handler.store(&transaction, job, output).await?;
        Ok(transaction.commit().await?)
    }

    /// Schedules the next attempt. If another worker has the job, nothing changes.
    async fn fail(&self, pool: &Pool, job: &Job, error: &str) -> Result<(), Failure> {
        let retry = (job.attempt < self.max_attempts).then_some(self.backoff);
        let state = retry.map_or("dead", |_| "waiting");
        // PostgreSQL stores no NUL.
        let error = error.replace('\0', " ");
        change(&pool.get().await?, job, state, retry, Some(&error)).await?;
        Ok(())
    }
}

/// Returns whether this attempt still has the job.
async fn change(
    db: &impl GenericClient,
    job: &Job,
    state: &str,
    due: Option<Duration>,
    error: Option<&str>,
) -> Result<bool, Failure> {
    let due = due.map(|due| due.as_secs_f64());
    let values: [&(dyn ToSql + Sync); 5] = [&job.id, &job.attempt, &state, &due, &error];
    let change = db.prepare_cached(CHANGE).await?;
    Ok(db.execute(&change, &values).await? == 1)
}

/// Returns the texts of an error and of its causes. That of `tokio_postgres` is only "db
/// error", and its cause has the server's message.
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let errors = successors(Some(error), |&error| error.source());
    let texts: Vec<String> = errors.map(ToString::to_string).collect();
    texts.join(": ")
}

/// Measures its arguments, as jobs: `cargo run -- tea cake`. The table is that of
/// `pg_job_queue`.
#[tokio::main]
async fn main() -> Result<(), Failure> {
    struct Lengths(CancellationToken);
    impl Handler for Lengths {
        type Output = usize;
        async fn work(&self, job: &Job) -> Result<usize, Failure> {
            Ok(job.payload.len())
        }
        async fn store(
            &self,
            _db: &Transaction<'_>,
            job: &Job,
            length: usize,
        ) -> Result<(), Failure> {
            println!("{} has {length} letters", job.payload);
            if job.payload == "stop" {
                self.0.cancel();
            }
            Ok(())
        }
        fn report(&self, error: Failure) {
            eprintln!("{}", causes(&*error));
        }
    }
    let url = std::env::var("DATABASE_URL");
    let url =
        url.map_err(|_| "set DATABASE_URL, as in postgres://user@localhost/database")?;
    let mut config: Config = url.parse()?;
    // A separate schema, as other programs may work on a table `jobs`.
    config.options("-c search_path=worker_example");
    let manager = Manager::new(config.clone(), NoTls);
    let pool = Pool::builder(manager).build()?;
    let client = pool.get().await?;
    let table = "CREATE SCHEMA IF NOT EXISTS worker_example;
        CREATE TABLE IF NOT EXISTS jobs (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, payload TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting', attempt INT NOT NULL DEFAULT 0,
        due TIMESTAMPTZ, error TEXT)";
    client.batch_execute(table).await?;
    for payload in std::env::args().skip(1) {
        enqueue(&client, &payload).await?;
    }
    enqueue(&client, "stop").await?;
    let stop = CancellationToken::new();
    let worker = Worker {
        config,
        handler: Lengths(stop.clone()).into(),
        concurrency: 3,
        lease: Duration::from_secs(30),
        max_runtime: Duration::from_secs(600),
        max_attempts: 5,
        backoff: Duration::from_secs(5),
        poll: Duration::from_secs(5),
    };
    worker.run(&stop).await;
    Ok(())
}

//@ clock: real
//@ try: tea cake -> tea has 3 letters
