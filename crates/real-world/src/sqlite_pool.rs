//! A connection pool for SQLite: one writer, several readers, transactions, timeouts.
//!
//! SQLite allows only one writer. With a write-ahead log (WAL), others can read during
//! a write. So this pool has one connection that writes and several that read. Writers
//! wait for that one connection, first come, first served. You pass a closure, which
//! runs in a transaction on a thread; so no transaction is held across an await. If the
//! caller is dropped, its query is stopped and its transaction is rolled back.
//!
//! Bounds: One writer and `readers` connections that read. A call fails if none is free
//! within `acquire_timeout`. A statement fails if another program locks the file for
//! longer than `busy_timeout`. Unbounded: The waiting calls, the time of a call, and
//! the log, which grows as long as one transaction reads.
//!
//! Trap: If your transaction first reads and then writes, the write may fail
//! immediately with "database is locked", because another connection has written after
//! your read. Begin with `BEGIN IMMEDIATE`, as the writer does here: then the
//! transaction waits at its beginning.
//!
//! See also: `pg_pool`, `async_sqlite`.
//!
//! asyncio: asyncio.Semaphore, asyncio.timeout, contextlib.asynccontextmanager

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many connections, and how long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The most concurrent readers; not 0. There is one writer.
    pub readers: usize,
    /// How long a call waits for a connection.
    pub acquire_timeout: Duration,
    /// How long a transaction waits for a write of another program. Not zero: a new
    /// reader may hold the same lock for a moment. Over 24 days, [`SqlitePool::open`]
    /// panics: "too big".
    pub busy_timeout: Duration,
    /// SQL that sets up each connection. With `PRAGMA synchronous = NORMAL` a commit does
    /// not wait for the disk: a power cut may undo the last commits.
    pub pragmas: &'static str,
}

/// Why there is no result. `E` is the error of the caller's own work.
#[derive(Debug, thiserror::Error)]
pub enum PoolError<E = rusqlite::Error> {
    #[error("no connection is free")]
    Timeout,
    #[error("the pool is closed")]
    Closed,
    /// The database is in memory or on a file system where there is no WAL.
    #[error("no write-ahead log is possible")]
    NoWal,
    /// Opening, beginning or committing failed. Nothing has changed.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The work contained, for example, `COMMIT` or `INSERT OR ROLLBACK`. Which of its
    /// rows are stored is not known.
    #[error("the work ended its transaction itself")]
    Ended,
    #[error("{0}")]
    Work(E),
}

/// Connections to one SQLite file. Clones share them. Dropping the last clone closes
/// them, which blocks the thread; [`close`](Self::close) does not block.
#[derive(Clone, Debug)]
pub struct SqlitePool {
    /// Transactions that read. Each sees one state of the database.
    pub readers: Connections,
    /// The only connection that writes. Closed last, it moves the log into the file.
    pub writer: Connections,
}

impl SqlitePool {
    /// Opens or creates the file, and gives it a WAL. Not for `:memory:`, which is
    /// another database for each connection.
    pub async fn open(
        path: impl Into<PathBuf>,
        settings: Settings,
    ) -> Result<Self, PoolError> {
        assert!(settings.readers > 0, "without readers nobody could read");
        let path = path.into();
        let connections = |begin, flags, permits: usize| {
            Connections(Arc::new(Shared {
                path: path.clone(),
                settings,
                begin,
                flags: flags | OpenFlags::SQLITE_OPEN_NO_MUTEX,
                permits: Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))),
                idle: Mutex::default(),
                calls: TaskTracker::new(),
            }))
        };
        let create = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY;
        // A plain BEGIN does nothing until the first read.
        let read = "BEGIN; SELECT 1 FROM sqlite_schema";
        let pool = Self {
            readers: connections(read, read_only, settings.readers),
            writer: connections("BEGIN IMMEDIATE", create, 1),
        };
        pool.writer.run(|_| Ok(())).await?;
        Ok(pool)
    }

    /// Refuses new and waiting calls, waits for running ones, and closes the connections.
    /// Returns the first error of SQLite. If the future is dropped, call it again.
    pub async fn close(&self) -> Result<(), PoolError> {
        self.writer.0.permits.close();
        self.readers.close().await?;
        self.writer.close().await
    }
}

/// Connections of one kind. They are opened when they are needed.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    settings: Settings,
    begin: &'static str,
    flags: OpenFlags,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    calls: TaskTracker,
}

impl Connections {
    /// Runs `work` in a transaction, on a thread. First come, first served. Commits if
    /// `work` returns `Ok`, and rolls back if it fails or panics.
    ///
    /// If the future is dropped while it waits, `work` never starts. During `work`,
    /// long statements then fail, and all is rolled back. After it, all is committed.
    /// Do not keep a future that has begun to wait and that you no longer await, as
    /// after a `select!`: it blocks all later calls (`futurelock`).
    ///
    /// In `work` use `savepoint`, not `transaction`. Its pragmas stay set. If `work`
    /// panics, so does `run`, and the connection is closed.
    pub async fn run<T: Send + 'static, E: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, PoolError<E>> {
        let shared = Arc::clone(&self.0);
        let counted = shared.calls.token();
        let permit = Arc::clone(&shared.permits).acquire_owned();
        let permit = timeout(shared.settings.acquire_timeout, permit).await;
        let permit = permit.map_err(|_| PoolError::Timeout)?;
        let permit = permit.map_err(|_| PoolError::Closed)?;
        let dropped = CancellationToken::new();
        let _guard = dropped.clone().drop_guard();
        let ended = spawn_blocking(move || {
            // Held until the work has ended, even if the caller has gone.
            let _held = (counted, permit);
            shared.call(&dropped, work)
        });
        ended
            .await
            .unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_runtime_shuts_down) => Err(PoolError::Closed),
            })
    }

    async fn close(&self) -> Result<(), PoolError> {
        let shared = Arc::clone(&self.0);
        shared.permits.close();
        shared.calls.close();
        shared.calls.wait().await;
        let closed = spawn_blocking(move || {
            let mut idle = std::mem::take(&mut *shared.idle()).into_iter();
            idle.try_for_each(|connection| connection.close().map_err(|(_, error)| error))
        });
        Ok(closed.await.map_err(|_| PoolError::Closed)??)
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs on a thread. Closes a connection that fails to begin, or whose work panics.
    fn call<T, E>(
        &self,
        dropped: &CancellationToken,
        work: impl FnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, PoolError<E>> {
        // A separate statement, so that the lock is not held while a connection opens.
        let idle = self.idle().pop();
        let mut connection = idle.map_or_else(|| self.connect(), Ok)?;
        connection.execute_batch(self.begin)?;
        let stop = dropped.clone();
        // After about 100 of its own steps, SQLite asks whether the caller has gone.
        connection.progress_handler(100, Some(move || stop.is_cancelled()))?;
        let result = if dropped.is_cancelled() {
            Err(PoolError::Closed)
        } else {
            work(&mut connection).map_err(PoolError::Work)
        };
        let _ = connection.progress_handler(0, None::<fn() -> bool>);
        let result = match result {
            // The caller has gone.
            Ok(_) if dropped.is_cancelled() => Err(PoolError::Closed),
            Ok(_) if connection.is_autocommit() => Err(PoolError::Ended),
            Ok(value) => Ok(connection.execute_batch("COMMIT").map(|()| value)?),
            failed => failed,
        };
        let is_free = connection.is_autocommit();
        if is_free || connection.execute_batch("ROLLBACK").is_ok() {
            self.idle().push(connection);
        }
        result
    }

    fn connect<E>(&self) -> Result<Connection, PoolError<E>> {
        let connection = Connection::open_with_flags(&self.path, self.flags)?;
        connection.busy_timeout(self.settings.busy_timeout)?;
        connection.execute_batch(self.settings.pragmas)?;
        let wal = "PRAGMA journal_mode = WAL";
        match connection.query_row(wal, [], |row| row.get::<_, String>(0))? {
            mode if mode == "wal" => Ok(connection),
            _ => Err(PoolError::NoWal),
        }
    }
}

/// Counts its runs in a database: `cargo run -- visits.db`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let path = std::env::args().nth(1).ok_or("usage: FILE")?;
    let settings = Settings {
        readers: 4,
        acquire_timeout: Duration::from_secs(5),
        busy_timeout: Duration::from_secs(5),
        pragmas: "PRAGMA synchronous = NORMAL",
    };
    let pool = SqlitePool::open(path, settings).await?;
    let visit = |db: &mut Connection| {
        db.execute_batch("CREATE TABLE IF NOT EXISTS visits (time TEXT)")?;
        db.execute("INSERT INTO visits VALUES (datetime())", [])
    };
    pool.writer.run(visit).await?;
    let count = "SELECT count(*) FROM visits";
    let count = |db: &mut Connection| db.query_row(count, [], |row| row.get::<_, u32>(0));
    println!("visit {}", pool.readers.run(count).await?);
    Ok(pool.close().await?)
}

//@ clock: real
//@ late: 50 (SQLite waits for a lock in steps)
//@ order: Alice has
//@ try: visits.db -> visit 1
//@ try: visits.db -> visit 2
