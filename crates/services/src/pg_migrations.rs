//! Change the database schema at program start, while older processes keep working.
//!
//! A migration is SQL that changes the schema. Each migration runs once, in a
//! transaction that also stores its number. If several processes start at the same
//! time, they take turns. A migration has to lock its table. If it does not get the
//! lock within `lock_timeout`, it gives up, so that waiting queries can pass, and
//! retries after a pause. Alembic has no such retry.
//!
//! Bounds: A migration that gets no lock fails after `attempts` attempts; each takes
//! `lock_timeout` and a `pause`. Unbounded: The time of a migration that has its locks.
//!
//! Trap: If you run `ALTER TABLE` while a long transaction uses the table, your service
//! stands still: the `ALTER TABLE` waits for that transaction, and every later query on
//! the table waits behind the `ALTER TABLE`. Set a `lock_timeout` and retry, as here.
//!
//! Trap: If you drop or rename a column in the release that no longer needs it, the old
//! release fails, because during a deployment it runs with the new schema for minutes.
//! First add what the new release needs. One release later, drop what only the old
//! release used.
//!
//! In production: The crate `refinery` reads migrations from files. Set `lock_timeout`
//! there, too.
//!
//! See also: `pg_transaction`, `pg_job_queue`, `retry`.
//!
//! asyncio: asyncio.sleep, async with

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

/// Asked first: a process with nothing to do waits for no lock, and needs no rights.
const EXISTS: &str = "SELECT to_regclass('migrations') IS NOT NULL";

const DONE: &str = "SELECT count(*) FROM migrations";

/// Any number serves, if all programs use the same. The lock ends with the transaction.
const TAKE_TURNS: &str = "
    SELECT pg_advisory_xact_lock(1246908251);
    CREATE TABLE IF NOT EXISTS migrations (
        number BIGINT PRIMARY KEY, done_at TIMESTAMPTZ NOT NULL DEFAULT now())";

/// How a schema is migrated.
#[derive(Clone, Copy, Debug)]
pub struct Migrations<'a> {
    /// Append new ones. Never change or remove one that has run somewhere.
    pub statements: &'a [&'a str],
    /// How long a statement waits for a lock, and others behind it.
    pub lock_timeout: Duration,
    /// How long others may pass before the next attempt.
    pub pause: Duration,
    /// How often a migration is tried that gets no lock.
    pub attempts: u32,
}

impl Migrations<'_> {
    /// Runs the migrations that have not run yet, and returns their number. If a newer
    /// release has run more, does nothing.
    ///
    /// If the future is dropped, each migration has run completely or not at all.
    ///
    /// # Errors
    ///
    /// Of the first migration that fails, or gets no lock. Those before it have run.
    pub async fn run(&self, client: &mut Client) -> Result<usize, Error> {
        let mut ran = 0;
        let mut attempt = 1;
        while !self.are_done(client).await? {
            match self.run_next(client).await {
                Ok(next) => {
                    ran += usize::from(next);
                    attempt = 1;
                }
                Err(error) if may_retry(&error) && attempt < self.attempts => {
                    attempt += 1;
                    sleep(self.pause).await;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(ran)
    }

    async fn are_done(&self, client: &Client) -> Result<bool, Error> {
        if !client.query_one(EXISTS, &[]).await?.get::<_, bool>(0) {
            return Ok(false);
        }
        let done: i64 = client.query_one(DONE, &[]).await?.get(0);
        Ok(done >= self.statements.len() as i64)
    }

    /// Returns whether there was one: another process may have run the last.
    async fn run_next(&self, client: &mut Client) -> Result<bool, Error> {
        let transaction = client.transaction().await?;
        transaction.batch_execute(TAKE_TURNS).await?;
        let done: i64 = transaction.query_one(DONE, &[]).await?.get(0);
        let Some(statements) = self.statements.get(done as usize) else {
            return transaction.commit().await.map(|()| false);
        };
        // For the server, 0 is no limit.
        let limit = self.lock_timeout.as_millis().clamp(1, i32::MAX as u128);
        let limit = format!("SET LOCAL lock_timeout = {limit}");
        transaction.batch_execute(&limit).await?;
        transaction.batch_execute(statements).await?;
        let sql = "INSERT INTO migrations (number) VALUES ($1)";
        transaction.execute(sql, &[&(done + 1)]).await?;
        transaction.commit().await.map(|()| true)
    }
}

/// Returns whether another transaction was in the way.
fn may_retry(error: &Error) -> bool {
    let ways = [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    error.code().is_some_and(|code| ways.contains(code))
}

/// Makes a table of notes, adds its arguments, and shows all: `cargo run -- tea cake`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::var("DATABASE_URL");
    let url =
        url.map_err(|_| "set DATABASE_URL, as in postgres://user@localhost/database")?;
    let (mut client, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    // Ends when the client is dropped. The client reports the errors.
    tokio::spawn(connection);
    let migrations = Migrations {
        statements: &[
            "CREATE TABLE notes (text TEXT NOT NULL)",
            "ALTER TABLE notes ADD COLUMN is_done BOOLEAN NOT NULL DEFAULT FALSE",
        ],
        lock_timeout: Duration::from_secs(1),
        pause: Duration::from_secs(5),
        attempts: 20,
    };
    println!("migrations: {}", migrations.run(&mut client).await?);
    for text in std::env::args().skip(1) {
        let sql = "INSERT INTO notes (text) VALUES ($1)";
        client.execute(sql, &[&text]).await?;
    }
    for row in client
        .query("SELECT text FROM notes LIMIT 100", &[])
        .await?
    {
        println!("note: {}", row.get::<_, &str>(0));
    }
    Ok(())
}

//@ clock: real
//@ try: tea -> note: tea
