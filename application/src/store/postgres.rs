//! PostgreSQL. A task takes the calls, and gives each batch a connection of a pool.
//!
//! Each call is one statement, so none leaves a transaction or a setting behind. Several
//! processes may share the database.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use deadpool_postgres::{Client, Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, error::Elapsed, timeout, timeout_at};
use tokio_postgres::{Config, NoTls, Row, types::ToSql};
use tokio_util::task::TaskTracker;

use super::{Call, Job, MAX_ATTEMPTS, MAX_BATCH, Note, Page, answer_adds};

/// A server allows about 100 for all its programs.
const CONNECTIONS: usize = 8;
/// How long a batch waits for a free or new connection.
const ACQUIRE: Duration = Duration::from_secs(2);
/// How long a batch takes: for a server that no longer answers.
const BATCH: Duration = Duration::from_secs(6);
/// What the URL may overrule. A commit waits until it is on disk.
const OPTIONS: &str = "-c synchronous_commit=on -c statement_timeout=5s \
    -c idle_in_transaction_session_timeout=10s";

/// Each brings the database to the next version. Append to the list, and never change
/// what has been released. The processes of the last release still run: drop what they
/// use one release later.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE note (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        text TEXT NOT NULL,
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        words BIGINT);
    CREATE TABLE job (
        note BIGINT PRIMARY KEY,
        attempt BIGINT NOT NULL DEFAULT 0,
        due TIMESTAMPTZ NOT NULL DEFAULT now());
    CREATE INDEX job_due ON job (due, note)"];
const EXISTS: &str = "SELECT to_regclass('migration') IS NOT NULL";
const VERSION: &str = "SELECT count(*) FROM migration";
/// Any number serves for the lock, if all processes use the same. It ends with the
/// transaction.
const TAKE_TURNS: &str = "
    SET LOCAL statement_timeout = 0;
    SELECT pg_advisory_xact_lock(1246908301);
    CREATE TABLE IF NOT EXISTS migration (
        number BIGINT PRIMARY KEY, done_at TIMESTAMPTZ NOT NULL DEFAULT now());
    SET LOCAL lock_timeout = '5s'";

const NOTE: &str = r#"id, text, words, to_char(created_at AT TIME ZONE 'UTC',
    'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS created_at"#;
/// A job is added with its note.
const ADD: &str = "
    WITH added AS (
        INSERT INTO note (text)
        SELECT text FROM unnest($1::TEXT[]) WITH ORDINALITY AS new (text, place)
        ORDER BY place RETURNING *),
    jobs AS (INSERT INTO job (note) SELECT id FROM added)";
/// Begins a job for 30 s, which is longer than an attempt. If its process is killed,
/// another one begins it then.
const NEXT_JOB: &str = "
    WITH next AS (
        SELECT note FROM job WHERE due <= now()
        ORDER BY due, note LIMIT 1 FOR UPDATE SKIP LOCKED)
    UPDATE job SET attempt = attempt + 1,
        due = CASE WHEN attempt + 1 < $1 THEN now() + INTERVAL '30 s' ELSE 'infinity' END
    FROM next WHERE job.note = next.note
    RETURNING job.note, attempt, (SELECT text FROM note WHERE id = job.note) AS text";
/// Changes nothing if the job has been begun again.
const COMPLETE: &str = "
    WITH done AS (DELETE FROM job WHERE note = $1 AND attempt = $2 RETURNING note)
    UPDATE note SET words = $3 FROM done WHERE id = done.note";

/// Connects, brings the database to the current version, and starts the task. Returns what
/// comes when the task has ended.
pub async fn start(
    mut config: Config,
    waiting: mpsc::Receiver<Call>,
) -> Result<oneshot::Receiver<()>> {
    let options = format!("{OPTIONS} {}", config.get_options().unwrap_or_default());
    config.options(&options);
    let recycling_method = RecyclingMethod::Verified;
    let recycling = ManagerConfig { recycling_method };
    // Over a network, take the connector of `tokio-postgres-rustls` for `NoTls`.
    let manager = Manager::from_config(config, NoTls, recycling);
    let pool = Pool::builder(manager).max_size(CONNECTIONS).build()?;
    migrate(&mut connect(&pool).await?).await?;
    let (ends, ended) = oneshot::channel();
    tokio::spawn(async move {
        serve(pool, waiting).await;
        let _ = ends.send(());
    });
    Ok(ended)
}

async fn connect(pool: &Pool) -> Result<Client> {
    let connected = timeout(ACQUIRE, pool.get()).await;
    if connected.is_err() {
        // One was silent. The other idle ones may be, too.
        pool.retain(|_, _| false);
    }
    Ok(connected.context("no connection within the limit")??)
}

async fn migrate(client: &mut Client) -> Result<()> {
    let encoding: String = client.query_one("SHOW server_encoding", &[]).await?.get(0);
    ensure!(
        encoding == "UTF8",
        "the database has the encoding {encoding}, not UTF8"
    );
    // Asked first: a role that may not create tables can start if there is nothing to do.
    if client.query_one(EXISTS, &[]).await?.get(0) {
        let version: i64 = client.query_one(VERSION, &[]).await?.get(0);
        if version >= MIGRATIONS.len() as i64 {
            return Ok(());
        }
    }
    let transaction = client.transaction().await?;
    transaction.batch_execute(TAKE_TURNS).await?;
    let version: i64 = transaction.query_one(VERSION, &[]).await?.get(0);
    for (number, migration) in (1_i64..).zip(MIGRATIONS) {
        if number > version {
            transaction.batch_execute(migration).await?;
            let sql = "INSERT INTO migration (number) VALUES ($1)";
            transaction.execute(sql, &[&number]).await?;
        }
    }
    Ok(transaction.commit().await?)
}

async fn serve(pool: Pool, mut waiting: mpsc::Receiver<Call>) {
    let batches = TaskTracker::new();
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let calls = std::mem::take(&mut batch);
        match connect(&pool).await {
            Ok(client) => drop(batches.spawn(async move {
                if answer(&client, calls).await.is_err() {
                    tracing::error!("the store was silent for {BATCH:?}");
                    // Closes it, so that nobody gets it.
                    drop(Object::take(client));
                }
            })),
            // The dropped calls tell the clients.
            Err(error) => tracing::error!("{} calls, but {error:#}", calls.len()),
        }
    }
    batches.close();
    batches.wait().await;
}

/// Answers the calls, the new notes last and by one statement. Fails if the server is
/// silent: the calls that were not begun are dropped.
async fn answer(client: &Client, calls: Vec<Call>) -> Result<(), Elapsed> {
    let end = Instant::now() + BATCH;
    let (mut texts, mut adds) = (Vec::new(), Vec::new());
    for call in calls {
        // An error of `send` means that the client has left.
        match call {
            Call::Add(text, reply) => {
                texts.push(text);
                adds.push(reply);
            }
            Call::Get(id, reply) => {
                let sql = format!("SELECT {NOTE} FROM note WHERE id = $1");
                let rows = rows(client, end, &sql, &[&id]).await?;
                drop(reply.send(rows.map(|rows| rows.first().map(note))));
            }
            Call::List(Page { after, limit }, reply) => {
                let sql =
                    format!("SELECT {NOTE} FROM note WHERE id > $1 ORDER BY id LIMIT $2");
                let rows = rows(client, end, &sql, &[&after, &i64::from(limit)]).await?;
                drop(reply.send(rows.map(|rows| rows.iter().map(note).collect())));
            }
            Call::NextJob(reply) => {
                let rows = rows(client, end, NEXT_JOB, &[&MAX_ATTEMPTS]).await?;
                drop(reply.send(rows.map(|rows| rows.first().map(job))));
            }
            Call::Complete(Job { note, attempt, .. }, words, reply) => {
                let values: [&(dyn ToSql + Sync); 3] = [&note, &attempt, &words];
                let rows = rows(client, end, COMPLETE, &values).await?;
                drop(reply.send(rows.map(drop)));
            }
        }
    }
    if adds.is_empty() {
        return Ok(());
    }
    let sql = format!("{ADD} SELECT {NOTE} FROM added ORDER BY id");
    match rows(client, end, &sql, &[&texts]).await {
        Ok(added) => {
            answer_adds(adds, added.map(|rows| rows.iter().map(note).collect()));
            Ok(())
        }
        Err(late) => {
            // The server may have stored them.
            answer_adds(adds, Err(anyhow!("{late}")));
            Err(late)
        }
    }
}

/// Fails if the server is silent. The result inside is that of the statement.
async fn rows(
    client: &Client,
    end: Instant,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
) -> Result<Result<Vec<Row>>, Elapsed> {
    let rows = async {
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query(&statement, values).await?)
    };
    timeout_at(end, rows).await
}

fn note(row: &Row) -> Note {
    Note {
        id: row.get("id"),
        text: row.get("text"),
        created_at: row.get("created_at"),
        words: row.get("words"),
    }
}

fn job(row: &Row) -> Job {
    Job {
        note: row.get("note"),
        attempt: row.get("attempt"),
        text: row.get("text"),
    }
}
