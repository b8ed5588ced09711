//! A database transaction as an async context manager: commit on success, else roll back.
//!
//! `Database::transaction` below takes an async closure, the body, which may await
//! between statements. If the body returns `Ok`, the transaction commits. After an error,
//! a panic or a cancellation, the transaction rolls back. Because a cancelled task cannot
//! await, a destructor does the rollback then, and the next transaction waits for it.
//!
//! Bounds: One transaction runs at a time; the next callers wait. Each statement, even
//! the COMMIT, waits at most 5 s for other programs, and then fails with "database is
//! locked". To change the 5 s, call `rusqlite::Connection::busy_timeout`.
//!
//! Trap: If tasks share a connection and lock it for each statement only, another task
//! can write between two statements of your transaction. Your rollback then undoes the
//! write of the other task, too. Hold the lock for the whole transaction.
//!
//! In production: Write helpers that take `&rusqlite::Connection`. A
//! `rusqlite::Transaction` dereferences to it, so they serve both.
//!
//! See also: `savepoints`, `pg_transaction`, `connection_pool`, `async_sqlite`.
//!
//! asyncio: async with, contextlib.asynccontextmanager, asyncio.to_thread, asyncio.Lock

use std::panic::resume_unwind;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;

/// Runs one transaction at a time, first come, first served. Clones share the
/// connection.
#[derive(Clone, Debug)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
}

/// A transaction that has begun. Dropping it rolls back, usually on a blocking thread.
#[derive(Debug)]
pub struct Transaction {
    /// `None` during a call, and after a call that was dropped, panicked or ended it.
    open: Option<Open>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// The error of the call. The transaction continues, unless SQLite has rolled it
    /// back.
    #[error(transparent)]
    Sqlite(rusqlite::Error),
    /// The transaction had ended before this call. Either SQLite rolled it back after an
    /// error, or a statement ended it, or an earlier call panicked or was dropped.
    #[error("the transaction had ended")]
    Ended,
}

impl Database {
    /// Returns a database that owns this connection.
    pub fn new(connection: Connection) -> Self {
        let connection = Arc::new(Mutex::new(connection));
        Self { connection }
    }

    /// Begins a transaction, awaits the body, and commits if the body succeeds.
    ///
    /// Dropping the future during the body rolls back. During the COMMIT, the transaction
    /// still commits. The next transaction waits until then. A body that begins a second
    /// transaction in the same database waits forever.
    ///
    /// # Errors
    ///
    /// The error of the body, of BEGIN or of COMMIT; everything is rolled back. If the
    /// body handles an error of a call and succeeds, the transaction commits.
    ///
    /// # Panics
    ///
    /// When the body or one of its calls does; everything is rolled back.
    pub async fn transaction<T, E: From<TransactionError>>(
        &self,
        body: impl AsyncFnOnce(&mut Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = Arc::clone(&self.connection).lock_owned().await;
        let open = Some(Open(connection));
        let mut transaction = Transaction { open };
        // A plain BEGIN takes the lock only at the first write, which may then fail.
        transaction.execute("BEGIN IMMEDIATE").await?;
        let result = body(&mut transaction).await;
        if result.is_ok() {
            transaction.execute("COMMIT").await?;
        } else {
            // If this fails, the drop rolls back again. The body's error is returned.
            let _ = transaction.execute("ROLLBACK").await;
        }
        result
    }
}

impl Transaction {
    /// Runs statements on a blocking thread. Put many rows into one call.
    ///
    /// None of the statements may end the transaction. Dropping the future before its end
    /// rolls back the whole transaction.
    ///
    /// # Errors
    ///
    /// A [`TransactionError`].
    ///
    /// # Panics
    ///
    /// When the closure does.
    pub async fn call<T: Send + 'static>(
        &mut self,
        statements: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, TransactionError> {
        let open = self.open.take().ok_or(TransactionError::Ended)?;
        let called = spawn_blocking(move || (statements(&open.0), open)).await;
        let (result, open) = called.map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_shut_down) => TransactionError::Ended,
        })?;
        // In autocommit mode, each of the next statements would commit by itself.
        if !open.0.is_autocommit() {
            self.open = Some(open);
        }
        result.map_err(TransactionError::Sqlite)
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), TransactionError> {
        self.call(|connection| connection.execute_batch(sql)).await
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let open = self.open.take();
        if let (true, Ok(runtime)) = (open.is_some(), Handle::try_current()) {
            runtime.spawn_blocking(move || drop(open));
        }
    }
}

/// The connection, locked for one transaction. Dropping it, on any thread, rolls back if
/// nothing was committed.
#[derive(Debug)]
struct Open(OwnedMutexGuard<Connection>);

impl Drop for Open {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // If this fails, the next BEGIN returns an error.
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

/// Pays from one account to another: `cargo run -- ann bob 30`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [from, to, amount] = args.as_slice() else {
        return Err("usage: FROM TO AMOUNT".into());
    };
    let connection = Connection::open("bank.db")?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS accounts (
             owner TEXT PRIMARY KEY, balance INTEGER CHECK (balance >= 0));
         INSERT OR IGNORE INTO accounts VALUES ('ann', 100), ('bob', 50);",
    )?;
    let amount: i64 = amount.parse()?;
    let transfer = async |transaction: &mut Transaction| {
        for (owner, change) in [(to.clone(), amount), (from.clone(), -amount)] {
            let sql = "UPDATE accounts SET balance = balance + ?1 WHERE owner = ?2";
            let update = move |db: &Connection| db.execute(sql, (change, owner));
            transaction.call(update).await?;
        }
        Ok::<_, TransactionError>(())
    };
    Database::new(connection).transaction(transfer).await?;
    println!("{from} has paid {amount} to {to}");
    Ok(())
}

//@ stderr: nobody has checked it
//@ try: ann bob 300 -> CHECK constraint failed: balance >= 0
