//! Run a serializable transaction, and run it again after a conflict.
//!
//! With the isolation level `SERIALIZABLE`, transactions run concurrently as if they
//! ran alone, and if two conflict, one of them fails. What the failed one has read is
//! out of date, so write the whole transaction as one closure, which is run again. A
//! dropped transaction is rolled back, as `async with` does. A nested transaction is a
//! savepoint: after its rollback, the outer transaction continues.
//!
//! Pass a `&Transaction` to other functions. If a function's parameter has a generic
//! type, pass `&mut *transaction`: a plain `transaction` would be moved ("use of moved
//! value").
//!
//! Bounds: After `attempts` runs, the last error is returned. Unbounded: The time of
//! each run, unless the server has a limit.
//!
//! Trap: If you ignore an error of a statement and call `commit`, `commit` succeeds but
//! stores nothing: after an error PostgreSQL refuses all further statements. Return the
//! error, or put a statement that may fail into a savepoint.
//!
//! Trap: If the connection breaks during `commit`, you cannot know whether the
//! transaction was stored, and a second run may store it twice. Insert a unique key in
//! the transaction: then the second run fails instead.
//!
//! See also: `pg_pool`, `transaction`, `retry`.
//!
//! asyncio: async with, contextlib.AsyncExitStack

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{Client, IsolationLevel, Transaction};

/// How often a transaction is run, and how long the pauses are.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// The most runs. With 1, nothing is retried.
    pub attempts: u32,
    /// The pause before the second run. It doubles with every further one.
    pub initial_backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
}

/// Begins a transaction that sees one state of the database, as if it ran alone.
pub async fn serializable(
    client: &mut Client,
) -> Result<Transaction<'_>, tokio_postgres::Error> {
    let builder = client.build_transaction();
    builder
        .isolation_level(IsolationLevel::Serializable)
        .start()
        .await
}

/// Returns whether PostgreSQL ended the transaction because of another one. Nothing is
/// stored, and a run from the start may succeed.
pub fn is_conflict(error: &(dyn Error + 'static)) -> bool {
    let conflicts = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ];
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<DbError>() {
            return conflicts.contains(error.code());
        }
        next = error.source();
    }
    false
}

impl Retry {
    /// Runs `transact`, which begins, works and commits. Runs it again after an error for
    /// which `again` is true, at most as often as the settings say.
    ///
    /// Each run takes a connection of a pool. If you have only a `&mut Client`, put it
    /// into a `tokio::sync::Mutex`, and lock that in `transact`.
    ///
    /// Cancel safety: if the future is dropped, so is that of `transact`.
    ///
    /// # Errors
    ///
    /// The error of the last run.
    pub async fn run<T, E, F>(
        &self,
        again: impl Fn(&E) -> bool,
        mut transact: impl FnMut() -> F,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut backoff = self.initial_backoff.min(self.max_backoff);
        for _ in 1..self.attempts {
            match transact().await {
                Err(error) if again(&error) => {}
                ended => return ended,
            }
            sleep(backoff).await;
            backoff = backoff.saturating_mul(2).min(self.max_backoff);
        }
        transact().await
    }
}

/// Moves money between two accounts of a table that only this connection has.
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    use deadpool_postgres::{Manager, Pool};
    type Failure = Box<dyn Error + Send + Sync>;
    let url = std::env::var("DATABASE_URL");
    let url =
        url.map_err(|_| "set DATABASE_URL, as in postgres://user@localhost/database")?;
    let manager = Manager::new(url.parse()?, tokio_postgres::NoTls);
    let pool = Pool::builder(manager).max_size(1).build()?;
    let table = "CREATE TEMP TABLE accounts (name TEXT, balance INT);
                 INSERT INTO accounts VALUES ('Ada', 100), ('Bob', 100)";
    pool.get().await?.batch_execute(table).await?;
    let retry = Retry {
        attempts: 10,
        initial_backoff: Duration::from_millis(20),
        max_backoff: Duration::from_secs(1),
    };
    let again = |error: &Failure| is_conflict(&**error);
    let transfer = || async {
        let mut client = pool.get().await?;
        let transaction = serializable(&mut client).await?;
        for (name, amount) in [("Ada", -10), ("Bob", 10)] {
            let sql = "UPDATE accounts SET balance = balance + $2 WHERE name = $1
                       RETURNING balance";
            let row = transaction.query_one(sql, &[&name, &amount]).await?;
            println!("{name} has {}", row.get::<_, i32>(0));
        }
        Ok(transaction.commit().await?)
    };
    retry.run(again, transfer).await
}

//@ clock: real
//@ try: -> Bob has 110
