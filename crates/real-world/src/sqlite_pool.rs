//! A connection pool for SQLite: one writer, several readers, transactions, timeouts.
//!
//! With a write-ahead log (WAL), SQLite reads while it writes, but only one may write at
//! a time. Here writes stand in a line for the one connection that writes; SQLite alone
//! would have them try again and again, in no order. The trap is a transaction that
//! begins by reading and then writes: if another has written meanwhile, it fails with
//! "database is locked", at once, whatever the busy timeout. `BEGIN IMMEDIATE` waits at
//! its beginning. Another program may still write: that is an error of its own. A caller
//! that gives up has its query stopped and its transaction rolled back. The work is a
//! function that runs on a thread, so no transaction can be held over an await. The crate
//! `deadpool-sqlite` does more, hooks and resizing for example, but does not tell readers
//! from writers.
//!
//! asyncio: asyncio.Semaphore, asyncio.timeout, contextlib.asynccontextmanager
//! clock: real

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::mem;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::join;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// After about so many of its own steps SQLite asks whether a call was given up.
const STEPS: i32 = 100;

/// How many connections, and how long to wait.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many may read at once, beside the one that writes.
    pub readers: usize,
    /// How long a call waits for a connection.
    pub acquire: Duration,
    /// How long a transaction waits, on its connection, for another program's write. Not
    /// zero, for a reader that begins may hold the same lock for a moment. The change to
    /// a WAL, by `PRAGMA journal_mode` when the file is new, does not wait.
    pub busy: Duration,
    /// What sets up each connection. With `PRAGMA synchronous = NORMAL` a commit does not
    /// wait for the disk: a power cut may take back the last ones, but spoils nothing.
    pub pragmas: &'static str,
}

/// Why there is no result. `E` is the error of the caller's own work.
#[derive(Debug, thiserror::Error)]
pub enum PoolError<E = rusqlite::Error> {
    /// No connection was free within [`Settings::acquire`]. Nothing was done.
    #[error("no connection is free")]
    Timeout,
    /// The pool was closed. Nothing was done.
    #[error("the pool is closed")]
    Closed,
    /// Another program held the database for [`Settings::busy`], or when it was to get a
    /// WAL. Nothing was done.
    #[error("another program writes")]
    Busy,
    /// The database is in memory or on a file system where there is no WAL.
    #[error("no write-ahead log is possible, the journal mode is {0}")]
    NoWal(String),
    /// Opening, beginning or committing failed. Nothing has changed.
    #[error(transparent)]
    Sqlite(rusqlite::Error),
    /// The work ended its transaction itself, with `COMMIT` or `INSERT OR ROLLBACK` for
    /// example, and returned `Ok`. Only SQLite knows what of it is there.
    #[error("the work ended its transaction itself")]
    Ended,
    /// The work failed. What it did and has not committed itself was rolled back.
    #[error("{0}")]
    Work(E),
}

/// Connections to one SQLite file. Clones share them.
///
/// Connections are opened when they are needed, and closed by [`close`](Self::close) or
/// with the last clone, which blocks the thread that drops it while the log is written to
/// the file. One that cannot begin a transaction is replaced by a new one, as
/// is one whose work panicked or left a transaction that cannot be rolled back. What else
/// the work sets stays for the next: a `PRAGMA`, an attached database, temporary tables.
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
    /// Opens the file, which is made if it is not there, and gives it a WAL.
    ///
    /// # Errors
    ///
    /// [`PoolError::Sqlite`], [`PoolError::Busy`], and [`PoolError::NoWal`], for example
    /// for `:memory:`, of which each connection would have one of its own.
    ///
    /// # Panics
    ///
    /// If there are to be no readers.
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

    /// Runs `work` on a connection that reads. All that it reads is of one state, that at
    /// its begin, whatever is written meanwhile.
    ///
    /// `work` runs on a thread where it may block, hence `'static`. Who asks first, is
    /// served first. Dropped while it waits, it leaves its place to the next; dropped
    /// while `work` runs, each of its statements that takes long fails from then on. For
    /// that the progress handler of the connection is taken.
    ///
    /// As it is in a transaction, `connection.transaction()` fails in it; within another
    /// `connection.savepoint()` can be used.
    ///
    /// # Errors
    ///
    /// Those of [`PoolError`]; writing is one of SQLite's.
    ///
    /// # Panics
    ///
    /// If `work` does; the connection is closed and replaced.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, PoolError<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, E> + Send + 'static,
    {
        self.run(|shared| &shared.readers, work).await
    }

    /// Runs `work` in a transaction of the only connection that writes, commits if it
    /// returns `Ok`, and rolls back if it returns an error or panics.
    ///
    /// The rest is as with [`read`](Self::read). Dropped before `work` has returned, its
    /// transaction is rolled back; dropped later, it is committed all the same. Dropped
    /// while another program writes, it waits for [`Settings::busy`] and does nothing.
    ///
    /// # Errors
    ///
    /// Those of [`PoolError`].
    ///
    /// # Panics
    ///
    /// If `work` does; the connection is closed and replaced.
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
        let permit = timeout(shared.settings.acquire, permit).await;
        let permit = permit.map_err(|_| PoolError::Timeout)?;
        let permit = permit.map_err(|_| PoolError::Closed)?;
        let given_up = CancellationToken::new();
        let _when_dropped = given_up.clone().drop_guard();
        let ended = spawn_blocking(move || {
            // Until the work has ended, whether or not somebody waits for it.
            let _held = (counted, permit);
            shared.call(side(&shared), &given_up, work)
        });
        // The other error is that of a runtime that is being shut down.
        ended
            .await
            .unwrap_or_else(|error| match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => Err(PoolError::Closed),
            })
    }

    /// Refuses further calls and those that wait, lets those end that have a connection,
    /// and closes the connections. The file alone is left, without the log.
    ///
    /// Dropped while it waits, it has refused the calls all the same; call it again.
    ///
    /// # Errors
    ///
    /// The first that SQLite has in closing, which dropping the pool would hide.
    pub async fn close(&self) -> Result<(), PoolError> {
        let shared = Arc::clone(&self.0);
        shared.readers.permits.close();
        shared.writers.permits.close();
        shared.calls.close();
        shared.calls.wait().await;
        let closed = spawn_blocking(move || {
            let mut idle = mem::take(&mut *lock(&shared.readers.idle));
            let writer = lock(&shared.writers.idle).pop();
            // It is closed last: those that only read cannot empty the log.
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

    /// How many connections were opened so far.
    pub fn opened(&self) -> usize {
        self.0.opened.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// What a thread does for a call. In a panic the connection is dropped, which rolls
    /// back and closes it.
    fn call<T, E>(
        &self,
        side: &Side,
        given_up: &CancellationToken,
        work: impl FnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, PoolError<E>> {
        let mut connection = self.begin(side).map_err(PoolError::without_work)?;
        let result = if given_up.is_cancelled() {
            Err(PoolError::Closed)
        } else {
            let stop = given_up.clone();
            connection
                .progress_handler(STEPS, Some(move || stop.is_cancelled()))
                .map_err(PoolError::Sqlite)
                .and_then(|()| work(&mut connection).map_err(PoolError::Work))
        };
        // From here on nothing is stopped. To go it needs no memory, so it cannot fail.
        let _ = connection.progress_handler(0, None::<fn() -> bool>);
        let result = match result {
            // Nobody waits for it.
            Ok(_) if given_up.is_cancelled() => Err(PoolError::Closed),
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

    /// A connection in a transaction.
    fn begin(&self, side: &Side) -> Result<Connection, PoolError> {
        // Reads a little, for until then a plain BEGIN does nothing.
        let begin = format!("{}; SELECT count(*) FROM sqlite_schema", side.begin);
        // In a line of its own: the lock is not held while a connection is opened.
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
        connection.busy_timeout(self.settings.busy)?;
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
    /// The same error for a call whose work was not begun.
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

/// What is locked here is whole at any moment, so a panic elsewhere spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn balance(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    let query = "SELECT balance FROM accounts WHERE name = ?1";
    let mut query = connection.prepare_cached(query)?;
    query.query_row([name], |row| row.get(0))
}

/// Pays in, and returns the balance. It reads first and writes then.
pub fn pay_in(connection: &Connection, name: &str, amount: i64) -> rusqlite::Result<i64> {
    let balance = balance(connection, name)? + amount;
    let update = "UPDATE accounts SET balance = ?2 WHERE name = ?1";
    connection
        .prepare_cached(update)?
        .execute((name, balance))?;
    Ok(balance)
}

#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("{name} has {missing} too little")]
    TooLittle { name: &'static str, missing: i64 },
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

fn transfer(
    connection: &Connection,
    from: &'static str,
    to: &str,
    amount: i64,
) -> Result<(), TransferError> {
    pay_in(connection, to, amount)?;
    match pay_in(connection, from, -amount)? {
        0.. => Ok(()),
        debt => Err(TransferError::TooLittle {
            name: from,
            missing: -debt,
        }),
    }
}

/// Reads twice, and so long apart.
fn slow_read(connection: &Connection, pause: Duration) -> rusqlite::Result<(i64, i64)> {
    let before = balance(connection, "Alice")?;
    thread::sleep(pause);
    Ok((before, balance(connection, "Alice")?))
}

/// Rows without end, each of which takes a moment.
pub fn endless_query(connection: &Connection) -> rusqlite::Result<usize> {
    let mut numbers = connection.prepare(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n FROM numbers)
         SELECT n FROM numbers",
    )?;
    let rows = numbers.query_map([], |_| {
        thread::sleep(Duration::from_millis(1));
        Ok(1)
    })?;
    rows.sum()
}

/// Two that both read and then write, without a pool. `BEGIN` alone locks nothing.
fn two_that_read_first(path: &Path) -> rusqlite::Result<i64> {
    let (first, second) = (Connection::open(path)?, Connection::open(path)?);
    second.execute_batch("PRAGMA synchronous = OFF")?;
    first.execute_batch("BEGIN")?;
    println!("the first reads {}", balance(&first, "Alice")?);
    second.execute_batch("BEGIN")?;
    println!(
        "the second pays in, Alice has {}",
        pay_in(&second, "Alice", 10)?
    );
    second.execute_batch("COMMIT")?;
    pay_in(&first, "Alice", 10)
}

/// Another program, which writes for so long.
fn write_meanwhile(path: &Path, pause: Duration) -> rusqlite::Result<()> {
    let other = Connection::open(path)?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    thread::sleep(pause);
    other.execute_batch("COMMIT")
}

async fn after<F: Future>(millis: u64, future: F) -> F::Output {
    sleep(Duration::from_millis(millis)).await;
    future.await
}

/// Begins a part of the demonstration so long after the start. Delays do not add up then.
async fn part(start: Instant, millis: u64, title: &str) {
    sleep_until(start + Duration::from_millis(millis)).await;
    println!("{title}");
}

/// Says what came of it.
fn report(what: &str, result: Result<impl fmt::Display, impl fmt::Display>) {
    match result {
        Ok(value) => println!("{what}: {value}"),
        Err(error) => println!("{what}: {error}"),
    }
}

/// The names of the files, sorted.
pub fn files(folder: &Path) -> io::Result<String> {
    let names = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<_> = names.collect::<io::Result<_>>()?;
    names.sort();
    Ok(names.join(", "))
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let (ms, start) = (Duration::from_millis, Instant::now());
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("accounts.db");
    let settings = Settings {
        readers: 2,
        acquire: ms(200),
        busy: ms(200),
        // Here nobody minds a power cut.
        pragmas: "PRAGMA synchronous = OFF",
    };
    let pool = SqlitePool::open(&path, settings).await?;
    pool.write(|connection| {
        connection.execute_batch(
            "CREATE TABLE accounts (name TEXT PRIMARY KEY, balance INTEGER NOT NULL);
             INSERT INTO accounts VALUES ('Alice', 100), ('Bob', 0)",
        )
    })
    .await?;

    part(start, 100, "Two may read at once, each for 0.4 s:").await;
    let read = async |name, begin| {
        let reading = pool.read(move |connection| slow_read(connection, ms(400)));
        report(
            name,
            after(begin, reading).await.map(|(balance, _)| balance),
        );
    };
    join!(read("A", 0), read("B", 250), read("C", 300), read("D", 350));

    part(start, 1000, "A read goes on while there is a write:").await;
    let pay = || pool.write(|connection| pay_in(connection, "Alice", 50));
    let pay_and_report = async || report("Alice has", pay().await);
    let reading = pool.read(move |connection| slow_read(connection, ms(200)));
    let (read, ()) = join!(reading, after(100, pay_and_report()));
    println!("read before and after: {:?}", read?);

    part(start, 1300, "A transfer fails when one half is done:").await;
    let transferred = pool.write(|connection| transfer(connection, "Alice", "Bob", 151));
    report("transfer of 151", transferred.await.map(|()| "done"));
    report(
        "Bob has",
        pool.read(|connection| balance(connection, "Bob")).await,
    );

    println!("Two transactions read, then write, outside of the pool:");
    let outside = path.clone();
    let result = spawn_blocking(move || two_that_read_first(&outside)).await?;
    report("the first pays in", result);
    println!("And in the pool:");
    let (first, second) = join!(biased; pay(), pay());
    println!("Alice has {}, then {}", first?, second?);

    for (begin, pause) in [(1400, 150), (1600, 400)] {
        let title = format!("Another program writes for {pause} ms:");
        part(start, begin, &title).await;
        let outside = path.clone();
        let other = spawn_blocking(move || write_meanwhile(&outside, ms(pause)));
        after(50, pay_and_report()).await;
        other.await??;
    }

    part(
        start,
        2100,
        "A write is given up after 0.2 s, another waits:",
    )
    .await;
    let endless = async {
        let paying = pool.write(|connection| {
            pay_in(connection, "Alice", 1000)?;
            endless_query(connection)
        });
        if timeout(ms(200), paying).await.is_err() {
            println!("gave up");
        }
    };
    join!(biased; endless, after(100, pay_and_report()));

    part(start, 2400, "A caller leaves its connection read-only:").await;
    let pragma = "PRAGMA query_only = TRUE";
    pool.write(|connection| connection.execute_batch(pragma))
        .await?;
    println!("{} opened so far", pool.opened());
    pay_and_report().await;
    println!("{} opened so far", pool.opened());

    println!("Closed while one reads:");
    let reading = pool.read(move |connection| slow_read(connection, ms(200)));
    let late = async || {
        let reading = pool.read(|connection| balance(connection, "Alice"));
        report("another", reading.await);
    };
    println!("{}", files(folder.path())?);
    let (read, closed, ()) = join!(reading, after(100, pool.close()), after(150, late()));
    println!("read before and after: {:?}", read?);
    closed?;
    println!("{}", files(folder.path())?);
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
