//! Savepoints: undo a part of a transaction, and keep the rest.
//!
//! `Database::transaction` below runs one closure, the whole transaction, on a thread for
//! blocking work, so a cancelled caller never leaves it half done. In the closure, the
//! function `nested` runs a part of the transaction in a savepoint. If the part fails,
//! only its own changes are undone, and the transaction continues. Parts may be nested.
//!
//! Bounds: If another program is writing, `transaction` tries to begin `attempts` times,
//! with a pause of `delay` in between, and then returns an error. It holds no thread
//! during a pause. Unbounded: The time of the closure.
//!
//! Trap: If the disk is full, or a statement with `ON CONFLICT ROLLBACK` fails, SQLite
//! ends the whole transaction. If you ignore that, each later statement commits by
//! itself. `nested` returns a `Result` in a `Result`. The inner one is the result of the
//! part. The outer one is an error if SQLite has ended the transaction. Return the outer
//! error with `?`, and write nothing more.
//!
//! Trap: If you begin with a plain BEGIN, read, and then write, another program may write
//! in between. Your write then fails immediately with "database is locked". A longer
//! `busy_timeout` does not help. Begin with BEGIN IMMEDIATE, as this file does.
//!
//! See also: `transaction` (awaits between statements), `sqlite_pool`, `retry`.
//!
//! asyncio: asyncio.to_thread, asyncio.Lock

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior, ffi};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// Runs one transaction at a time, first come, first served. If another program writes, a
/// transaction loses its place. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    attempts: u32,
    delay: Duration,
}

impl Database {
    /// Returns a database that owns this connection. If another program writes, each
    /// transaction tries to begin `attempts` times, with `delay` between two attempts.
    ///
    /// # Errors
    ///
    /// The error of [`Connection::busy_timeout`].
    pub fn new(
        connection: Connection,
        attempts: u32,
        delay: Duration,
    ) -> rusqlite::Result<Self> {
        // SQLite would wait on the blocking thread.
        connection.busy_timeout(Duration::ZERO)?;
        let connection = Arc::new(Mutex::new(connection));
        Ok(Self {
            connection,
            attempts,
            delay,
        })
    }

    /// Runs the closure in a transaction on a blocking thread. Commits if it succeeds,
    /// else rolls back.
    ///
    /// Cancel safety: dropping the future between two attempts changes nothing. A started
    /// attempt continues, and may commit.
    ///
    /// # Errors
    ///
    /// The error of the closure, of BEGIN or of COMMIT; everything is rolled back.
    ///
    /// # Panics
    ///
    /// When the closure does; everything is rolled back.
    pub async fn transaction<T, E>(
        &self,
        mut work: impl FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<rusqlite::Error> + Send + 'static,
    {
        let mut attempts = self.attempts;
        loop {
            attempts = attempts.saturating_sub(1);
            let connection = Arc::clone(&self.connection).lock_owned().await;
            let attempt = spawn_blocking(move || {
                let immediate = TransactionBehavior::Immediate;
                match Transaction::new_unchecked(&connection, immediate) {
                    Ok(transaction) => Ok(commit(transaction, work)),
                    // Nothing has run yet, so the closure can be tried again.
                    Err(error) if is_busy(&error) && attempts > 0 => Err(work),
                    Err(error) => Ok(Err(error.into())),
                }
            });
            match attempt.await {
                Ok(Ok(result)) => return result,
                Ok(Err(not_begun)) => work = not_begun,
                Err(error) => resume_unwind(error.into_panic()),
            }
            sleep(self.delay).await;
        }
    }
}

/// Dropping the transaction rolls back.
fn commit<T, E: From<rusqlite::Error>>(
    transaction: Transaction<'_>,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Runs a part of a transaction, in a savepoint. If the part fails, its changes are
/// undone, and those before it stay. Returns the part's result.
///
/// # Errors
///
/// The outer error: there is no transaction, or SQLite has ended it. Write nothing more.
///
/// # Panics
///
/// When the part does; its changes are undone.
pub fn nested<T, E>(
    db: &Connection,
    part: impl FnOnce(&Connection) -> Result<T, E>,
) -> rusqlite::Result<Result<T, E>> {
    if db.is_autocommit() {
        // Here, a savepoint would be a transaction, and commit.
        let error = ffi::Error::new(ffi::SQLITE_ERROR);
        let message = "there is no transaction".to_owned();
        return Err(rusqlite::Error::SqliteFailure(error, Some(message)));
    }
    // The names may be equal: SQLite takes the latest one.
    db.execute_batch("SAVEPOINT part")?;
    let undo = UndoOnPanic(db);
    let result = part(db);
    std::mem::forget(undo);
    db.execute_batch(if result.is_ok() { "RELEASE part" } else { UNDO })?;
    Ok(result)
}

/// `ROLLBACK TO` alone would leave the savepoint open.
const UNDO: &str = "ROLLBACK TO part; RELEASE part";

struct UndoOnPanic<'a>(&'a Connection);

impl Drop for UndoOnPanic<'_> {
    fn drop(&mut self) {
        // If this fails, SQLite has rolled back the whole transaction.
        let _ = self.0.execute_batch(UNDO);
    }
}

/// Takes items that are there out of the stock: `cargo run -- 2 tea 900 jam`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let connection = Connection::open("shop.db")?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS stock (
             item TEXT PRIMARY KEY, number INTEGER CHECK (number >= 0));
         INSERT OR IGNORE INTO stock VALUES ('tea', 100), ('jam', 10);",
    )?;
    let database = Database::new(connection, 50, Duration::from_millis(100))?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    let taken = database.transaction(move |db| {
        let mut taken = 0;
        for pair in args.chunks(2) {
            let sql = "UPDATE stock SET number = number - ?1 WHERE item = ?2";
            match nested(db, |db| db.execute(sql, rusqlite::params_from_iter(pair)))? {
                Ok(rows) => taken += rows,
                Err(error) => println!("{}: {error}", pair.join(" ")),
            }
        }
        Ok::<_, rusqlite::Error>(taken)
    });
    println!("taken: {}", taken.await?);
    Ok(())
}

//@ clock: real
//@ try: 2 tea 900 jam -> taken: 1
