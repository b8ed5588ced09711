//! A database connection (sqlite3, aiosqlite) that is opened, used, and closed again.
//!
//! A call of the crate `rusqlite` blocks its thread, so `Database::call` below runs your
//! closure on another thread, with `spawn_blocking`. A lock gives the connection to one
//! call at a time. `close` returns the error of closing. Dropping the last clone of the
//! `Database` also closes the connection, but blocks the current thread and loses the
//! error.
//!
//! Trap: If you cancel a caller, its call may still change the database: a call that
//! has begun runs to its end. Look at the database before you repeat the call.
//!
//! Trap: If you run several statements without a transaction, each statement commits by
//! itself, so a later error does not undo the earlier ones. Python's sqlite3 begins a
//! transaction by itself, and rolls it back unless you commit. With `rusqlite`, begin the
//! transaction yourself, as the example `transaction` does.
//!
//! See also: `transaction`, `connection_pool`, `async_sqlite`.
//!
//! asyncio: sqlite3.connect, asyncio.to_thread, asyncio.Lock, __aenter__, __aexit__

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::Mutex;
use tokio::task::{JoinError, spawn_blocking};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("the database is closed")]
    Closed,
    /// The work panicked, or the runtime was shut down.
    #[error("the call was lost")]
    Lost(#[from] JoinError),
}

/// Runs one call at a time, first come, first served. Clones share the connection.
#[derive(Clone, Debug)]
pub struct Database(Arc<Mutex<Option<Connection>>>);

impl Database {
    /// Opens a database file, and creates it if it is missing.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, DatabaseError> {
        let path = path.as_ref().to_path_buf();
        let connection = Some(spawn_blocking(|| Connection::open(path)).await??);
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Runs `work` with the connection, on a blocking thread.
    ///
    /// Dropping the future stops the wait for the connection, but not `work`. For another
    /// error type, let `work` return a `Result` as its value: `Ok(check(db))`.
    ///
    /// # Errors
    ///
    /// A [`DatabaseError`]. The connection can be used after a panic.
    pub async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let mut connection = Arc::clone(&self.0).lock_owned().await;
        spawn_blocking(move || {
            let connection = connection.as_mut().ok_or(DatabaseError::Closed)?;
            Ok(work(connection)?)
        })
        .await?
    }

    /// Waits for the calls before it, and closes the connection for all clones.
    ///
    /// # Errors
    ///
    /// The error of SQLite. The connection is then still open.
    pub async fn close(&self) -> Result<(), DatabaseError> {
        let mut connection = Arc::clone(&self.0).lock_owned().await;
        spawn_blocking(move || match connection.take().map(Connection::close) {
            None | Some(Ok(())) => Ok(()),
            Some(Err((still_open, error))) => {
                *connection = Some(still_open);
                Err(error.into())
            }
        })
        .await?
    }
}

/// Adds a user to a database, and counts all users: `cargo run -- users.db Ada`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(name)) = (args.next(), args.next()) else {
        return Err("usage: FILE NAME".into());
    };
    let database = Database::open(path).await?;
    let count: u32 = database
        .call(move |db| {
            db.execute_batch("CREATE TABLE IF NOT EXISTS users (name TEXT UNIQUE)")?;
            db.execute("INSERT INTO users VALUES (?1)", [name])?;
            db.query_one("SELECT count(*) FROM users", [], |row| row.get(0))
        })
        .await?;
    database.close().await?;
    println!("users: {count}");
    Ok(())
}

//@ clock: real
//@ try: users.db Ada -> users: 1
//@ try: users.db Ada -> UNIQUE constraint failed
