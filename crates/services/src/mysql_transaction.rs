//! Run a transaction on MySQL or MariaDB again after a deadlock or a lock timeout.
//!
//! If two transactions wait for each other, the database ends one of them: error 1213,
//! "Deadlock found". If a transaction waits for a locked row for longer than
//! `innodb_lock_wait_timeout` (by default 50 seconds), its statement fails with error
//! 1205. In both cases roll back and run the whole transaction again: so write it as
//! one closure. A dropped transaction is rolled back before its connection is used
//! again.
//!
//! Bounds: After `attempts` runs, the last error is returned. Unbounded: The time of
//! each run, unless the server has a limit.
//!
//! Trap: If you ignore error 1205 and call `commit`, the first half of your transaction
//! is stored: after a lock timeout only the statement is rolled back, and the
//! transaction stays open. Return the error.
//!
//! Trap: If you read a value, compute, and write it, you may overwrite another
//! program's change: by default (REPEATABLE READ), each SELECT shows the state of the
//! first SELECT. To change what you have read, lock it with `SELECT .. FOR UPDATE`.
//!
//! See also: `mysql_pool`, `pg_transaction`, `retry`.
//!
//! asyncio: async with, asyncio.sleep

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use mysql_async::ServerError;
use tokio::time::sleep;

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

/// Returns whether another transaction was in the way, so that a run from the start may
/// succeed.
pub fn is_conflict(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(mysql_async::Error::Server(error)) = error.downcast_ref() {
            return is_code(error);
        }
        if let Some(error) = error.downcast_ref::<ServerError>() {
            return is_code(error);
        }
        next = error.source();
    }
    false
}

/// 1213 is a deadlock, 1205 a lock timeout, and 1020 a row that has changed: MariaDB with
/// `innodb_snapshot_isolation`.
fn is_code(error: &ServerError) -> bool {
    [1213, 1205, 1020].contains(&error.code)
}

impl Retry {
    /// Runs `transact`, which takes a connection, begins, works and commits. Runs it
    /// again after an error for which `again` is true, at most as often as the settings
    /// say.
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
    use mysql_async::prelude::Queryable;
    type Failure = Box<dyn Error + Send + Sync>;
    let url = std::env::var("MYSQL_URL")
        .map_err(|_| "set MYSQL_URL=mysql://user:password@host:3306/name")?;
    let connection = mysql_async::Conn::from_url(&url).await?;
    let connection = tokio::sync::Mutex::new(connection);
    for sql in [
        "CREATE TEMPORARY TABLE accounts (name VARCHAR(20) PRIMARY KEY, balance INT)",
        "INSERT INTO accounts VALUES ('Ada', 100), ('Bob', 100)",
    ] {
        connection.lock().await.query_drop(sql).await?;
    }
    let retry = Retry {
        attempts: 10,
        initial_backoff: Duration::from_millis(20),
        max_backoff: Duration::from_secs(1),
    };
    let again = |error: &Failure| is_conflict(&**error);
    let transfer = || async {
        let mut connection = connection.lock().await;
        let options = mysql_async::TxOpts::default();
        let mut transaction = connection.start_transaction(options).await?;
        for (name, amount) in [("Ada", -10), ("Bob", 10)] {
            let sql = "UPDATE accounts SET balance = balance + ? WHERE name = ?";
            transaction.exec_drop(sql, (amount, name)).await?;
        }
        let sql = "SELECT balance FROM accounts WHERE name = 'Bob'";
        let balance: Option<i32> = transaction.query_first(sql).await?;
        println!("Bob has {}", balance.unwrap_or_default());
        Ok(transaction.commit().await?)
    };
    retry.run(again, transfer).await
}

//@ clock: real
//@ try: -> Bob has 110
