//! A database connection (sqlite3, aiosqlite) that is opened, used, and closed again.
//!
//! rusqlite blocks, so each call runs on a blocking thread. A lock gives the connection
//! to one call at a time. `close` returns an error; dropping the last clone closes too,
//! but blocks its thread and loses the error.
//!
//! Trap: a call that has begun runs to its end, also if its caller was cancelled.
//!
//! Trap: Python's sqlite3 begins a transaction by itself, and rolls it back unless
//! somebody commits. Here each statement commits by itself. See `transaction`.
//!
//! In production: `deadpool-sqlite` opens several connections, so that reads run
//! concurrently.
//!
//! See also: `transaction`, `connection_pool`, `async_sqlite`.
//!
//! asyncio: sqlite3.connect, asyncio.to_thread, asyncio.Lock, __aenter__, __aexit__

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::task::{JoinError, spawn_blocking};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("the database is closed")]
    Closed,
    /// The call panicked, or the runtime was shut down.
    #[error("the call was lost")]
    Lost(#[from] JoinError),
}

/// A connection that runs one call at a time, first come, first served. Clones share it.
#[derive(Clone, Debug)]
pub struct Database {
    connection: Arc<Mutex<Option<Connection>>>,
}

impl Database {
    /// Opens a database file, and creates it if it is missing.
    pub async fn open(path: &Path) -> Result<Self, DatabaseError> {
        let path = path.to_path_buf();
        let connection = spawn_blocking(|| Connection::open(path)).await??;
        let connection = Arc::new(Mutex::new(Some(connection)));
        Ok(Self { connection })
    }

    /// Runs `work` with the connection, on a blocking thread.
    ///
    /// Dropped while it waits for the connection, it does nothing. Dropped later, it does
    /// not stop `work`, and the next call waits for its end.
    ///
    /// Work with an error type of its own returns its `Result` as the value:
    /// `Ok(check(connection))`. The caller then writes `database.call(..).await??`.
    ///
    /// # Errors
    ///
    /// The error of `work`, `Closed` after `close`, or `Lost` if `work` panics. The
    /// connection can be used after a panic.
    pub async fn call<T, F>(&self, work: F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        spawn_blocking(move || {
            let connection = connection.as_mut().ok_or(DatabaseError::Closed)?;
            Ok(work(connection)?)
        })
        .await?
    }

    /// Closes the connection for all clones, after the calls that wait for it. Does
    /// nothing if it is closed.
    ///
    /// # Errors
    ///
    /// That of SQLite. The connection is then still open.
    pub async fn close(&self) -> Result<(), DatabaseError> {
        let mut connection = Arc::clone(&self.connection).lock_owned().await;
        spawn_blocking(move || {
            let Some(open) = connection.take() else {
                return Ok(());
            };
            let (still_open, error) = match open.close() {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            *connection = Some(still_open);
            Err(error.into())
        })
        .await?
    }
}

async fn connect(path: &Path) -> Result<Database, DatabaseError> {
    let database = Database::open(path).await?;
    // Nothing here has to survive a power cut, so nobody waits for the disk.
    let pragma =
        |sqlite: &mut Connection| sqlite.pragma_update(None, "synchronous", "OFF");
    database.call(pragma).await?;
    println!("Connected");
    Ok(database)
}

pub async fn add(database: &Database, name: &str) -> Result<usize, DatabaseError> {
    // The thread may outlive the caller, so it owns what it uses.
    let name = name.to_string();
    let insert = "INSERT INTO users VALUES (?1)";
    database
        .call(move |sqlite| sqlite.execute(insert, [name]))
        .await
}

pub async fn count(database: &Database) -> Result<u32, DatabaseError> {
    let select = "SELECT count(*) FROM users";
    database
        .call(|sqlite| sqlite.query_one(select, (), |row| row.get(0)))
        .await
}

/// Adds the users and returns how many there are. Opens and closes the database.
async fn register(path: &Path, names: &[&str]) -> Result<u32, DatabaseError> {
    let database = connect(path).await?;
    let outcome = async {
        let create = "CREATE TABLE IF NOT EXISTS users (name TEXT UNIQUE)";
        database.call(|sqlite| sqlite.execute(create, ())).await?;
        for name in names {
            add(&database, name).await?;
        }
        count(&database).await
    }
    .await;
    let closed = database.close().await;
    println!("Disconnected");
    let users = outcome?;
    closed?;
    Ok(users)
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = spawn_blocking(TempDir::new).await??;
    let path = folder.path().join("users.db");

    println!("Two users:");
    println!("{} users", register(&path, &["Ada", "Grace"]).await?);

    println!("The second of three users is there already:");
    match register(&path, &["Alan", "Ada", "Edsger"]).await {
        Ok(users) => println!("{users} users"),
        Err(error) => println!("Error: {error}"),
    }

    println!("Opened again, for two tasks:");
    let database = connect(&path).await?;
    println!("{} users", count(&database).await?);
    let other = database.clone();
    let task = tokio::spawn(async move { add(&other, "Edsger").await });
    let (first, second) = tokio::join!(add(&database, "Barbara"), task);
    println!("{} rows are added", first? + second??);
    println!("{} users", count(&database).await?);

    println!("Used after it was closed:");
    database.close().await?;
    match count(&database).await {
        Ok(users) => println!("{users} users"),
        Err(error) => println!("Error: {error}"),
    }
    spawn_blocking(|| folder.close()).await??;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
