//! A connection pool for SQLite: one writer, several readers, transactions, timeouts.
//!
//! With a write-ahead log (WAL), SQLite reads while it writes, but only one connection
//! may write. Here writers wait for it, first come, first served. The work is a function
//! that runs on a thread, so no transaction can be held over an await. If the caller has
//! gone, its query is stopped and its transaction rolled back.
//!
//! Bounds: the connections, `acquire_timeout` and `busy_timeout`. unbounded: the waiting
//! calls, the time of a call, and the log, which grows while one transaction reads.
//!
//! Trap: a transaction that reads and then writes fails at once with "database is locked"
//! if another one has written meanwhile. `BEGIN IMMEDIATE` waits at its beginning.
//!
//! In production: `deadpool-sqlite` has hooks and timeouts, but one kind of connection.
//!
//! asyncio: asyncio.Semaphore, asyncio.timeout, contextlib.asynccontextmanager
//! clock: real
//! order: Alice has
//! try: visits.db -> visit 1
//! try: visits.db -> visit 2

use std::mem;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// After about this number of its own steps, SQLite asks whether the call was dropped.
const STEPS: i32 = 100;

/// How many connections, and how long to wait.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The most concurrent readers. There is one writer.
    pub readers: usize,
    /// How long a call waits for a connection.
    pub acquire_timeout: Duration,
    /// How long a transaction waits for a write of another program. Not zero: a new
    /// reader may hold the same lock for a moment.
    pub busy_timeout: Duration,
    /// SQL that sets up each connection. With `PRAGMA synchronous = NORMAL` a commit does
    /// not wait for the disk: a power cut may undo the last commits.
    pub pragmas: &'static str,
}

/// Why there is no result. `E` is the error of the caller's own work.
#[derive(Debug, thiserror::Error)]
pub enum PoolError<E = rusqlite::Error> {
    /// No connection was free within [`Settings::acquire_timeout`]. Nothing was done.
    #[error("no connection is free")]
    Timeout,
    /// The pool was closed. Nothing was done.
    #[error("the pool is closed")]
    Closed,
    /// Another program held the lock for [`Settings::busy_timeout`], or while the file
    /// got its WAL. Nothing was done.
    #[error("another program writes")]
    Busy,
    /// The database is in memory or on a file system where there is no WAL.
    #[error("no write-ahead log is possible, the journal mode is {0}")]
    NoWal(String),
    /// Opening, beginning or committing failed. Nothing has changed.
    #[error(transparent)]
    Sqlite(rusqlite::Error),
    /// The work ended its transaction itself, for example with `COMMIT` or `INSERT OR
    /// ROLLBACK`, and returned `Ok`. What is stored is unknown.
    #[error("the work ended its transaction itself")]
    Ended,
    /// The work failed, and was rolled back.
    #[error("{0}")]
    Work(E),
}

/// Connections to one SQLite file. Clones share them.
///
/// Connections are opened when they are needed. Dropping the last clone closes them and
/// blocks its thread meanwhile; [`close`](Self::close) does not. A broken connection is
/// replaced. What the work sets stays for the next call: a `PRAGMA`, an attached
/// database, temporary tables.
#[derive(Clone)]
pub struct SqlitePool(Arc<Shared>);

struct Shared {
    path: PathBuf,
    settings: Settings,
    // Dropped in this order: the writer then empties the log into the file.
    readers: Side,
    writers: Side,
    /// Counts the calls, and what they have left running.
    calls: TaskTracker,
    opened: AtomicUsize,
}

/// The connections that read, or the one that writes.
struct Side {
    begin: &'static str,
    flags: OpenFlags,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Side {
    fn new(begin: &'static str, flags: OpenFlags, permits: usize) -> Self {
        Self {
            begin,
            flags: flags | OpenFlags::SQLITE_OPEN_NO_MUTEX,
            permits: Arc::new(Semaphore::new(permits)),
            idle: Mutex::default(),
        }
    }
}

impl SqlitePool {
    /// Opens or creates the file, and gives it a WAL. Not for `:memory:`, which is
    /// another database for each connection.
    ///
    /// # Panics
    ///
    /// If `readers` is 0.
    pub async fn open(
        path: impl Into<PathBuf>,
        settings: Settings,
    ) -> Result<Self, PoolError> {
        assert!(
            settings.readers > 0,
            "a pool without readers would read nothing"
        );
        let create = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let readers =
            Side::new("BEGIN", OpenFlags::SQLITE_OPEN_READ_ONLY, settings.readers);
        let pool = Self(Arc::new(Shared {
            path: path.into(),
            settings,
            readers,
            writers: Side::new("BEGIN IMMEDIATE", create, 1),
            calls: TaskTracker::new(),
            opened: AtomicUsize::new(0),
        }));
        pool.write(|_| Ok(())).await?;
        Ok(pool)
    }

    /// Runs `work` in a transaction that reads, and sees one state of the database. First
    /// come, first served.
    ///
    /// `work` runs on a thread for blocking calls, hence `'static`. Dropped while it
    /// waits, it never starts. Dropped later, each of its long statements fails from then
    /// on; the call uses the progress handler of the connection.
    ///
    /// In `work`, `connection.transaction()` fails; use `connection.savepoint()`.
    ///
    /// # Panics
    ///
    /// If `work` panics. The connection is replaced.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, PoolError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    {
        self.run(|shared| &shared.readers, work).await
    }

    /// Runs `work` in a transaction of the only writer. Commits if it returns `Ok`, and
    /// rolls back if it fails or panics. Otherwise as [`read`](Self::read).
    ///
    /// Dropped before `work` has returned, the transaction is rolled back. Dropped later,
    /// it is committed.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, PoolError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    {
        self.run(|shared| &shared.writers, work).await
    }

    async fn run<T, E, F>(
        &self,
        side: fn(&Shared) -> &Side,
        work: F,
    ) -> Result<T, PoolError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        let counted = shared.calls.token();
        let permit = Arc::clone(&side(&shared).permits).acquire_owned();
        let permit = timeout(shared.settings.acquire_timeout, permit).await;
        let permit = permit.map_err(|_| PoolError::Timeout)?;
        let permit = permit.map_err(|_| PoolError::Closed)?;
        let dropped = CancellationToken::new();
        let _guard = dropped.clone().drop_guard();
        let ended = spawn_blocking(move || {
            // Held until the work has ended, also if the caller has gone.
            let _held = (counted, permit);
            shared.call(side(&shared), &dropped, work)
        });
        // The other error is a runtime that shuts down.
        ended
            .await
            .unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(PoolError::Closed),
            })
    }

    /// Refuses new and waiting calls, waits for running ones, and closes the connections.
    /// The log is written to the file. Returns the first error of SQLite.
    ///
    /// Dropped while it waits, it has refused the calls. Call it again.
    pub async fn close(&self) -> Result<(), PoolError> {
        let shared = Arc::clone(&self.0);
        shared.readers.permits.close();
        shared.writers.permits.close();
        shared.calls.close();
        shared.calls.wait().await;
        let closed = spawn_blocking(move || {
            let mut idle = mem::take(&mut *lock(&shared.readers.idle));
            let writer = lock(&shared.writers.idle).pop();
            // It is closed last: readers cannot empty the log.
            let writer = match writer {
                None if !idle.is_empty() => shared.connect(&shared.writers).map(Some),
                writer => Ok(writer),
            };
            idle.extend(writer?);
            for connection in idle {
                connection.close().map_err(|(_, error)| error)?;
            }
            Ok(())
        });
        closed.await.map_err(|_| PoolError::Closed)?
    }

    /// Returns how many connections were opened so far.
    pub fn opened(&self) -> usize {
        self.0.opened.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// Runs on a thread. A panic drops the connection, which rolls back and closes it.
    fn call<T, E>(
        &self,
        side: &Side,
        dropped: &CancellationToken,
        work: impl FnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, PoolError<E>> {
        let mut connection = self.begin(side).map_err(PoolError::without_work)?;
        let result = if dropped.is_cancelled() {
            Err(PoolError::Closed)
        } else {
            let stop = dropped.clone();
            connection
                .progress_handler(STEPS, Some(move || stop.is_cancelled()))
                .map_err(PoolError::Sqlite)
                .and_then(|()| work(&mut connection).map_err(PoolError::Work))
        };
        // From here on nothing is stopped. Removing it needs no memory, so it cannot
        // fail.
        let _ = connection.progress_handler(0, None::<fn() -> bool>);
        let result = match result {
            // The caller has gone.
            Ok(_) if dropped.is_cancelled() => Err(PoolError::Closed),
            Ok(_) if connection.is_autocommit() => Err(PoolError::Ended),
            Ok(value) => connection
                .execute_batch("COMMIT")
                .map(|()| value)
                .map_err(PoolError::Sqlite),
            Err(error) => Err(error),
        };
        if !connection.is_autocommit() {
            // If it fails, there still is a transaction: see below.
            let _ = connection.execute_batch("ROLLBACK");
        }
        if connection.is_autocommit() {
            lock(&side.idle).push(connection);
        }
        result
    }

    /// Returns a connection in a transaction.
    fn begin(&self, side: &Side) -> Result<Connection, PoolError> {
        // Reads a little, for until then a plain BEGIN does nothing.
        let begin = format!("{}; SELECT count(*) FROM sqlite_schema", side.begin);
        // A statement of its own, so that the lock is not held while a connection opens.
        let idle = lock(&side.idle).pop();
        let is_new = idle.is_none();
        let connection = idle.map_or_else(|| self.connect(side), Ok)?;
        match connection.execute_batch(&begin) {
            Ok(()) => Ok(connection),
            Err(error) => match PoolError::from(error) {
                PoolError::Busy => {
                    if connection.is_autocommit() {
                        lock(&side.idle).push(connection);
                    }
                    Err(PoolError::Busy)
                }
                error if is_new => Err(error),
                _broken => {
                    drop(connection);
                    let connection = self.connect(side)?;
                    connection.execute_batch(&begin)?;
                    Ok(connection)
                }
            },
        }
    }

    fn connect(&self, side: &Side) -> Result<Connection, PoolError> {
        let connection = Connection::open_with_flags(&self.path, side.flags)?;
        connection.busy_timeout(self.settings.busy_timeout)?;
        connection.execute_batch(self.settings.pragmas)?;
        if side.flags.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
            let wal = "PRAGMA journal_mode = WAL";
            let mode: String = connection.query_row(wal, [], |row| row.get(0))?;
            if mode != "wal" {
                return Err(PoolError::NoWal(mode));
            }
        }
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(connection)
    }
}

impl From<rusqlite::Error> for PoolError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy) => Self::Busy,
            _ => Self::Sqlite(error),
        }
    }
}

impl PoolError {
    /// Returns the same error for a call whose work has not started.
    fn without_work<E>(self) -> PoolError<E> {
        match self {
            Self::Timeout => PoolError::Timeout,
            Self::Closed => PoolError::Closed,
            Self::Busy => PoolError::Busy,
            Self::NoWal(mode) => PoolError::NoWal(mode),
            Self::Ended => PoolError::Ended,
            Self::Sqlite(error) | Self::Work(error) => PoolError::Sqlite(error),
        }
    }
}

/// A panic leaves what is locked here whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts its runs in a database: `cargo run -- visits.db`.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
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
    pool.write(visit).await?;
    let count = "SELECT count(*) FROM visits";
    let visits = pool.read(move |db| db.query_row(count, [], |row| row.get::<_, u32>(0)));
    println!("visit {}", visits.await?);
    Ok(pool.close().await?)
}
