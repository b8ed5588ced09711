//! Run a job on a schedule on several machines: one of them runs each tick.
//!
//! Every machine asks PostgreSQL whether to run the job now. A tick (a time at which
//! the job is due) is a row, and the machine that inserts the row runs the job. If that
//! machine dies or fails, another machine runs the tick when the lease, the time for a
//! run, has expired. The clock of the database decides, so the clocks of the machines
//! do not matter. Only the newest tick runs, however late.
//!
//! Bounds: After `max_attempts` attempts a tick is given up. An attempt, and a wait for
//! an answer, takes at most `lease`. Unbounded: The table, which has a row per tick.
//! Delete old rows.
//!
//! Trap: If you only hold a lock during the run, a job may run twice: a machine whose
//! clock is two seconds behind finds the lock free again, and runs the same tick. Store
//! the tick, as here.
//!
//! Trap: If a run takes longer than its lease, another machine starts it again. Call
//! `finish` in the transaction that writes the result: only the newest attempt can
//! finish, and the older one gets the error "the lease was lost".
//!
//! In production: The crate `croner` computes ticks from cron patterns and local time.
//! It does not share them between machines.
//!
//! See also: `pg_leader`, `pg_job_queue`, `cron`, `scheduler`.
//!
//! asyncio: asyncio.sleep, asyncio.timeout

use std::time::{Duration, SystemTime};

use tokio::time::{error::Elapsed, timeout};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, GenericClient};

/// Without the lock, of programs that start at the same time some fail: "duplicate key
/// value".
const SCHEMA: &str = "
    SELECT pg_advisory_xact_lock(1246908252);
    CREATE TABLE IF NOT EXISTS cron_runs (
        name TEXT,
        tick TIMESTAMPTZ,
        attempt INT NOT NULL,
        lease_until TIMESTAMPTZ NOT NULL,
        is_done BOOLEAN NOT NULL DEFAULT FALSE,
        PRIMARY KEY (name, tick)
    );";

/// Asked first: a role that may not create tables can still start.
const EXISTS: &str = "SELECT to_regclass('cron_runs') IS NOT NULL";

/// Of machines that come at the same time, one inserts the row, or changes it after the
/// lease. The others wait for the next tick, or for the end of the lease.
const TURN: &str = "
    WITH now AS (
        SELECT statement_timestamp() AS now, $2::FLOAT8 * INTERVAL '1 s' AS interval,
            date_bin($2::FLOAT8 * INTERVAL '1 s', statement_timestamp(), $3) AS tick,
            statement_timestamp() + $4::FLOAT8 * INTERVAL '1 s' AS lease_until
    ), claimed AS (
        INSERT INTO cron_runs AS run (name, tick, attempt, lease_until)
        SELECT $1, tick, 1, lease_until FROM now WHERE tick >= $3
        ON CONFLICT (name, tick) DO UPDATE
        SET attempt = run.attempt + 1, lease_until = excluded.lease_until
        WHERE NOT run.is_done AND run.attempt < $5
            AND run.lease_until <= statement_timestamp()
        RETURNING attempt
    ), ends AS (
        SELECT CASE WHEN is_done OR attempt >= $5 THEN 'infinity' ELSE run.lease_until END
        FROM cron_runs AS run, now WHERE name = $1 AND run.tick = now.tick
    )
    SELECT tick, (SELECT attempt FROM claimed), extract(EPOCH FROM least(
        tick + interval, coalesce((TABLE ends), lease_until)) - now)::FLOAT8
    FROM now";

/// The server ends the transaction of a machine that hangs in it.
const FINISH: &str = "
    UPDATE cron_runs SET is_done = TRUE
    WHERE name = $1 AND tick = $2 AND attempt = $3 AND NOT is_done
    RETURNING set_config('idle_in_transaction_session_timeout', $4, TRUE)";

/// A job, and when it runs. Use the same on all machines.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub name: String,
    /// The first tick. For a daily job at 3:00 UTC, any day at that time.
    pub first: SystemTime,
    /// From tick to tick.
    pub interval: Duration,
    /// When another machine may run the tick. Longer than a run takes.
    pub lease: Duration,
    /// A tick that fails so often is left.
    pub max_attempts: i32,
}

/// What a machine has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    Run(Run),
    /// Another machine runs the tick, or has run it. Ask again after this time.
    Wait(Duration),
}

/// A run of a tick, by the machine that has its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub tick: SystemTime,
    /// Counts from 1.
    pub attempt: i32,
}

/// Why a tick was not run or not finished.
#[derive(Debug, thiserror::Error)]
pub enum CronError {
    #[error("the server does not answer")]
    Timeout(#[from] Elapsed),
    /// Another machine runs the tick again, or has run it.
    #[error("the lease was lost")]
    LeaseLost,
    #[error("{}", .0.as_db_error().map_or_else(|| .0.to_string(), ToString::to_string))]
    Postgres(#[from] Error),
}

/// Creates the table, unless it is there.
pub async fn create_table(client: &Client) -> Result<(), Error> {
    if !client.query_one(EXISTS, &[]).await?.get::<_, bool>(0) {
        client.batch_execute(SCHEMA).await?;
    }
    Ok(())
}

impl Schedule {
    /// Asks whether to run the job now. Takes no transaction: the others would wait for
    /// its end.
    ///
    /// If the future is dropped, a tick may be claimed until its lease expires.
    pub async fn turn(&self, client: &Client) -> Result<Turn, CronError> {
        let (interval, lease) = (self.interval.as_secs_f64(), self.lease.as_secs_f64());
        let values: [&(dyn ToSql + Sync); 5] = [
            &self.name,
            &interval,
            &self.first,
            &lease,
            &self.max_attempts,
        ];
        let row = timeout(self.lease, client.query_one(TURN, &values)).await??;
        let Some(attempt) = row.get(1) else {
            // The row is of the time before the statement.
            let wait = Duration::try_from_secs_f64(row.get(2)).unwrap_or_default();
            return Ok(Turn::Wait(wait));
        };
        let tick = row.get(0);
        Ok(Turn::Run(Run { tick, attempt }))
    }

    /// Marks the tick as done. Write the result in the same transaction: then it is
    /// written once. If the machine hangs there, the server ends the transaction after
    /// the lease.
    ///
    /// # Errors
    ///
    /// `LeaseLost`: another machine runs this tick. Roll back.
    pub async fn finish(
        &self,
        db: &(impl GenericClient + Sync),
        run: &Run,
    ) -> Result<(), CronError> {
        // For the server, 0 is no limit.
        let limit = self
            .lease
            .as_millis()
            .clamp(1, i32::MAX as u128)
            .to_string();
        let values: [&(dyn ToSql + Sync); 4] =
            [&self.name, &run.tick, &run.attempt, &limit];
        let finished = timeout(self.lease, db.query_opt(FINISH, &values)).await??;
        finished.map(drop).ok_or(CronError::LeaseLost)
    }
}

/// Runs a job of each second, until this program has had a turn. Start several.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::var("DATABASE_URL");
    let url =
        url.map_err(|_| "set DATABASE_URL, as in postgres://user@localhost/database")?;
    let (mut client, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    // Ends when the client is dropped. The client tells the errors.
    tokio::spawn(connection);
    create_table(&client).await?;
    let schedule = Schedule {
        name: "report".to_owned(),
        first: SystemTime::UNIX_EPOCH,
        interval: Duration::from_secs(1),
        lease: Duration::from_secs(10),
        max_attempts: 3,
    };
    loop {
        match schedule.turn(&client).await? {
            Turn::Wait(wait) => tokio::time::sleep(wait).await,
            Turn::Run(run) => {
                let transaction = client.transaction().await?;
                schedule.finish(&transaction, &run).await?;
                // Here your job writes its result.
                transaction.commit().await?;
                println!("report, attempt {}", run.attempt);
                return Ok(());
            }
        }
    }
}

//@ clock: real
//@ try: -> report, attempt 1
