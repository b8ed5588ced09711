//! Elect a leader with an advisory lock: one of many programs works, the others wait.
//!
//! All programs ask PostgreSQL for one advisory lock (a lock that belongs to no row). The
//! program that holds it is the leader. The lock belongs to the leader's connection: if
//! the leader is killed, the server releases the lock, and another program leads.
//!
//! You choose the lease, the longest time for which a leader may be silent. The leader
//! queries the server three times per lease. If no answer comes, or the connection is
//! lost, the leader's work is dropped. If the leader hangs, the server closes the
//! leader's connection after the lease, by the setting `idle_session_timeout`. This
//! releases the lock.
//!
//! Bounds: A wait for the server's answer ends after the lease at the latest.
//! Unbounded: The wait for the lock.
//!
//! Trap: If your leader hangs and wakes up, it may write before it notices that another
//! program leads. So each leadership has a number, the term, which is higher than all
//! before. Call `Term::check` in the transaction that writes: for an old leader it fails.
//!
//! Trap: If you take the lock on a connection of a pool, two parts of your program may
//! both believe that they lead. The lock is not released when the connection returns to
//! the pool. The next user of this connection gets the lock as well, because PostgreSQL
//! grants it to the same connection again. Use a separate connection.
//!
//! See also: `pg_cron_once` (a job that is due at a time), `lease`, `pg_transaction`.
//!
//! asyncio: asyncio.Lock

use std::future::Future;
use std::time::Duration;

use tokio::select;
use tokio::time::{error::Elapsed, sleep, timeout};
use tokio_postgres::{Client, Config, GenericClient, NoTls};

/// Without the lock, of programs that start at the same moment some fail: "duplicate
/// key value".
const SCHEMA: &str = "
    SELECT pg_advisory_xact_lock(1246908245);
    CREATE TABLE IF NOT EXISTS leaders (name TEXT PRIMARY KEY, term BIGINT NOT NULL)";

/// Asked first: a role that may not create tables can still start.
const EXISTS: &str = "SELECT to_regclass('leaders') IS NOT NULL";

const TRY: &str = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))";

const BEGIN: &str = "
    INSERT INTO leaders (name, term) VALUES ($1, 1)
    ON CONFLICT (name) DO UPDATE SET term = leaders.term + 1
    RETURNING term";

/// The server ends the transaction of a leader that hangs in it.
const CHECK: &str = "
    SELECT set_config('idle_in_transaction_session_timeout', $3, TRUE)
    FROM leaders WHERE name = $1 AND term = $2 FOR SHARE";

/// Why there is no leadership, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    #[error("the server does not answer")]
    Timeout(#[from] Elapsed),
    #[error("the connection was closed")]
    Closed,
    #[error("another leader has begun its term")]
    TermOver,
    #[error("{}", .0.as_db_error().map_or_else(|| .0.to_string(), ToString::to_string))]
    Postgres(#[from] tokio_postgres::Error),
}

/// A time as the leader. Its number is higher than that of each term before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    pub name: String,
    pub number: i64,
    /// How long the leader may be silent in a transaction after `check`.
    pub lease: Duration,
}

impl Term {
    /// Fails with `TermOver` if another leader has begun its term. None can begin before
    /// the transaction has ended, so call it in the one that writes. If the leader hangs
    /// there, the server ends the transaction after the lease.
    pub async fn check(
        &self,
        db: &(impl GenericClient + Sync),
    ) -> Result<(), LeaderError> {
        let limit = millis(self.lease).to_string();
        let row = db
            .query_opt(CHECK, &[&self.name, &self.number, &limit])
            .await?;
        row.map(drop).ok_or(LeaderError::TermOver)
    }
}

/// Returns milliseconds. For the server, 0 is no limit.
fn millis(limit: Duration) -> u128 {
    limit.as_millis().clamp(1, i32::MAX as u128)
}

/// Creates the table of the terms, unless it is there.
pub async fn create_table(client: &Client) -> Result<(), LeaderError> {
    if !client.query_one(EXISTS, &[]).await?.get::<_, bool>(0) {
        client.batch_execute(SCHEMA).await?;
    }
    Ok(())
}

/// Waits until no other program leads under this name. Then does the work and returns its
/// result. The lock is tried, and the server asked, each third of the lease.
///
/// If the future is dropped, so is the work: the connection is closed, and the lock
/// released. For a graceful stop, drop the future only before the work has begun. After
/// that, tell the work to end, and wait for the result.
///
/// # Errors
///
/// Leadership, or the attempt at it, is lost with the connection: at the latest after two
/// thirds of the lease. The work is dropped at its current await. Call it again.
pub async fn lead<T, F: Future<Output = T>>(
    mut config: Config,
    name: &str,
    lease: Duration,
    work: impl FnOnce(Term) -> F,
) -> Result<T, LeaderError> {
    let third = lease / 3;
    let (idle, statement) = (millis(lease), millis(third));
    let options = config.get_options().unwrap_or_default();
    // A dropped statement may wait for a row, and its connection has the lock: so it
    // ends.
    config.options(format!(
        "{options} -c idle_session_timeout={idle} -c statement_timeout={statement}"
    ));
    let (client, connection) = timeout(third, config.connect(NoTls)).await??;
    let leading = async {
        while !timeout(third, client.query_one(TRY, &[&name]))
            .await??
            .get::<_, bool>(0)
        {
            sleep(third).await;
        }
        let row = timeout(third, client.query_one(BEGIN, &[&name])).await??;
        let (name, number) = (name.to_owned(), row.get(0));
        let lost = async {
            loop {
                sleep(third).await;
                timeout(third, client.batch_execute("")).await??;
            }
        };
        select! {
            result = work(Term { name, number, lease }) => Ok(result),
            lost = lost => lost,
        }
    };
    // Dropped in this order: first the work, then the connection with the lock.
    select! {
        led = leading => led,
        ended = connection => Err(ended.err().map_or(LeaderError::Closed, Into::into)),
    }
}

/// Leads for a moment as soon as no other of these programs does.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::var("DATABASE_URL");
    let url =
        url.map_err(|_| "set DATABASE_URL, as in postgres://user@localhost/database")?;
    let config: Config = url.parse()?;
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    create_table(&client).await?;
    let work = async |term: Term| {
        println!("leads in term {}", term.number);
        sleep(Duration::from_millis(100)).await;
        term.check(&client).await
    };
    lead(config, "reports", Duration::from_secs(10), work).await??;
    Ok(())
}

//@ clock: real
//@ try: -> leads in term
