//! A database transaction as an async context manager: commit on success, else roll back.
//!
//! The body may await between statements. If it returns a value, the transaction commits.
//! After an error or a panic, or when the caller is cancelled, it rolls back. A cancelled
//! task cannot await, so a destructor rolls back, and the next transaction waits for it.
//!
//! Bounds: one transaction at a time. Each statement, also the COMMIT, waits for at most
//! 5 s for other programs ("database is locked"): see `Connection::busy_timeout`.
//!
//! Trap: a lock for each statement is too short. What another task writes between two
//! statements of the transaction is rolled back, too.
//!
//! In production: `deadpool-postgres` runs several at once. In `sqlx` 0.9.0, a cancelled
//! `begin` can leave a pooled connection inside a transaction: the next writes are lost.
//!
//! See also: `database_connection`, `connection_pool`, `async_sqlite`.
//!
//! asyncio: async with, contextlib.asynccontextmanager, asyncio.to_thread, asyncio.Lock
//! stderr: nobody has checked it
//! try: ann bob 300 -> CHECK constraint failed: balance >= 0

use std::panic::resume_unwind;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;

/// A connection that runs one transaction at a time, first come, first served. Clones
/// share it.
#[derive(Clone, Debug)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
}

/// A transaction that has begun. Dropping it rolls back, as a rule on a blocking thread.
#[derive(Debug)]
pub struct Transaction {
    /// `None` while a call runs, and after a call that was dropped or has panicked.
    open: Option<Open>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// The error of the call. The transaction goes on, unless SQLite has rolled it back.
    #[error(transparent)]
    Sqlite(rusqlite::Error),
    /// The transaction had ended before this call: SQLite has rolled it back because of
    /// an error, an earlier call panicked or was dropped, or a statement ended it.
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
    /// Dropping the future in the body rolls back, during the COMMIT it commits. The next
    /// transaction waits until then. A body that begins a second transaction in the same
    /// database waits for ever.
    ///
    /// # Errors
    ///
    /// That of the body, of BEGIN or of COMMIT; everything is rolled back. If the body
    /// handles an error of a call, nothing is rolled back.
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
        // A plain BEGIN takes the lock at the first write, and fails there.
        transaction.execute("BEGIN IMMEDIATE").await?;
        let result = body(&mut transaction).await;
        if result.is_ok() {
            transaction.execute("COMMIT").await?;
        } else {
            // If this fails, the drop tries again. The body's error is the one to return.
            let _ = transaction.execute("ROLLBACK").await;
        }
        result
    }
}

impl Transaction {
    /// Runs statements on a blocking thread. Put many rows into one call.
    ///
    /// None of the statements may end the transaction. Dropped before its end, the call
    /// rolls back the whole transaction.
    ///
    /// # Errors
    ///
    /// Those of [`TransactionError`].
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
        // Otherwise each of the next statements would be committed by itself.
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
        if open.is_some()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(open));
        }
    }
}

/// The connection, locked for one transaction. Its last owner, on whatever thread, rolls
/// back what was not committed.
#[derive(Debug)]
struct Open(OwnedMutexGuard<Connection>);

impl Drop for Open {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // If this fails, the next transaction cannot begin, and says so.
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

/// Pays from one account to another: `cargo run -- ann bob 30`.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
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
