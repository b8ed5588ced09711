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

fn balance(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    let query = "SELECT balance FROM accounts WHERE name = ?1";
    let mut query = connection.prepare_cached(query)?;
    query.query_row([name], |row| row.get(0))
}

/// Pays in, and returns the balance. It reads first and writes then.
fn pay_in(connection: &Connection, name: &str, amount: i64) -> rusqlite::Result<i64> {
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
fn endless_query(connection: &Connection) -> rusqlite::Result<usize> {
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
fn files(folder: &Path) -> io::Result<String> {
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

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fs;
    use std::panic::AssertUnwindSafe;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::{Arc, Mutex, mpsc};
    use std::task::Poll;
    use std::time::Duration;

    use futures::FutureExt;
    use futures::future::join_all;
    use rusqlite::Connection;
    use tempfile::TempDir;
    use tokio::sync::oneshot;
    use tokio::task::{JoinSet, spawn_blocking, yield_now};
    use tokio::time::{sleep, timeout};

    use super::{PoolError, Settings, SqlitePool, endless_query, files, pay_in};

    type Tested = Result<(), Box<dyn Error + Send + Sync>>;

    /// Nothing takes that long unless something is wedged.
    const LONG: Duration = Duration::from_secs(20);

    /// Fails the test if the future is not ready by then.
    async fn soon<F: Future>(future: F) -> F::Output {
        timeout(LONG, future).await.expect("wedged")
    }

    /// Polls the future at most `polls` times, and drops it if it is not ready then.
    async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
        let mut future = pin!(future);
        for _ in 0..polls {
            if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
                return Some(output);
            }
            sleep(Duration::from_millis(1)).await;
        }
        None
    }

    fn settings(readers: usize, acquire: Duration) -> Settings {
        Settings {
            readers,
            acquire,
            busy: Duration::from_millis(100),
            pragmas: "PRAGMA synchronous = OFF",
        }
    }

    /// With the accounts of Alice and Bob, who have 1000 each.
    async fn pool(
        readers: usize,
        acquire: Duration,
    ) -> Result<(TempDir, SqlitePool), PoolError> {
        let folder = tempfile::tempdir().expect("there is room for it");
        let path = folder.path().join("accounts.db");
        let pool = SqlitePool::open(path, settings(readers, acquire)).await?;
        let create = "CREATE TABLE accounts (name TEXT PRIMARY KEY, balance INTEGER);
                      INSERT INTO accounts VALUES ('Alice', 1000), ('Bob', 1000)";
        pool.write(|connection| connection.execute_batch(create))
            .await?;
        Ok((folder, pool))
    }

    fn balances(connection: &mut Connection) -> rusqlite::Result<(i64, i64)> {
        let balance = |name| super::balance(connection, name);
        Ok((balance("Alice")?, balance("Bob")?))
    }

    fn move_one(connection: &mut Connection) -> rusqlite::Result<()> {
        pay_in(connection, "Alice", -1)?;
        pay_in(connection, "Bob", 1)?;
        Ok(())
    }

    #[tokio::test]
    async fn dropped_at_each_await() -> Tested {
        let (_folder, pool) = pool(1, LONG).await?;
        let (mut before, mut completed) = (1000, false);
        for polls in 1..25 {
            for busy in [true, false] {
                let slow = |connection: &mut Connection| {
                    pay_in(connection, "Alice", -1)?;
                    std::thread::sleep(Duration::from_millis(4));
                    pay_in(connection, "Bob", 1).map(drop)
                };
                let holder = pool.write(move |_| {
                    std::thread::sleep(Duration::from_millis(5 * u64::from(busy)));
                    Ok::<_, rusqlite::Error>(())
                });
                let leaving = async {
                    yield_now().await;
                    poll_and_drop(pool.write(slow), polls).await
                };
                let reading = poll_and_drop(pool.read(balances), polls);
                let (held, left, _) =
                    soon(async { tokio::join!(biased; holder, leaving, reading) }).await;
                held?;
                // The next of either kind gets its connection.
                soon(pool.write(|_| Ok::<_, rusqlite::Error>(()))).await?;
                let (alice, bob) = soon(pool.read(balances)).await?;
                assert_eq!(alice + bob, 2000, "wholly or not at all");
                assert!((before - 1..=before).contains(&alice));
                assert!(left.is_none() || alice == before - 1, "what is done stays");
                completed |= left.is_some();
                before = alice;
            }
        }
        assert!(completed, "25 polls are enough");
        soon(pool.close()).await?;
        assert_eq!(pool.opened(), 2, "no connection is lost");
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn ten_thousand_at_once() -> Tested {
        const READERS: usize = 3;
        let (_folder, pool) = pool(READERS, LONG).await?;
        let at_once = Arc::new(AtomicUsize::new(0));
        let mut calls = JoinSet::new();
        for number in 0..10_000 {
            let (pool, at_once) = (pool.clone(), Arc::clone(&at_once));
            let call = async move {
                if number % 1000 == 511 {
                    // Given up in the middle: it must not stop another's query.
                    let (begun, has_begun) = oneshot::channel();
                    let call = pool.read(move |connection| {
                        let _ = begun.send(());
                        endless_query(connection)
                    });
                    let patience = has_begun.then(|_| sleep(Duration::from_millis(1)));
                    tokio::select! {
                        _ = call => return Some(false),
                        () = patience => return None,
                    }
                }
                if number % 5 == 0 {
                    return Some(pool.write(move_one).await.is_ok());
                }
                let reading = pool.read(move |connection| {
                    let others = at_once.fetch_add(1, SeqCst);
                    let balances = balances(connection);
                    at_once.fetch_sub(1, SeqCst);
                    balances.map(|(alice, bob)| (alice + bob, others))
                });
                let read = reading.await;
                Some(read.is_ok_and(|(sum, others)| sum == 2000 && others < READERS))
            };
            calls.spawn(async move {
                let patience = match number % 40 {
                    20 | 21 => Duration::from_micros(number),
                    _ => LONG,
                };
                (number, timeout(patience, call).await.ok().flatten())
            });
        }
        let (mut wrote, mut perhaps) = (0, 0);
        while let Some(ended) = soon(calls.join_next()).await {
            let (number, as_expected) = ended?;
            assert!(as_expected != Some(false), "whoever stays is served");
            if number % 5 == 0 {
                wrote += i64::from(as_expected.is_some());
                perhaps += i64::from(as_expected.is_none());
            }
        }
        assert!(perhaps > 10, "some do leave");
        let (alice, _) = soon(pool.read(balances)).await?;
        assert!((1000 - wrote - perhaps..=1000 - wrote).contains(&alice));
        assert!(pool.opened() <= 1 + READERS, "none is lost or replaced");
        soon(pool.close()).await?;
        Ok(())
    }

    #[tokio::test]
    async fn limits() -> Tested {
        let path = ":memory:";
        let none = SqlitePool::open(path, settings(0, LONG));
        let none = AssertUnwindSafe(none).catch_unwind().await;
        assert!(none.is_err(), "no readers");
        let memory = SqlitePool::open(path, settings(1, LONG)).await;
        assert!(matches!(memory, Err(PoolError::NoWal(mode)) if mode == "memory"));

        let (_folder, pool) = pool(2, Duration::ZERO).await?;
        let (go_on, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let mut holders = Vec::new();
        for _ in 0..2 {
            let wait = Arc::clone(&wait);
            let held = pool.read(move |connection| {
                let _ = wait.lock().map(|wait| wait.recv());
                balances(connection)
            });
            let mut held = Box::pin(held);
            assert!(futures::poll!(held.as_mut()).is_pending());
            holders.push(held);
        }
        let third = soon(pool.read(balances)).await;
        assert!(matches!(third, Err(PoolError::Timeout)));
        pool.write(move_one).await?;
        drop(go_on);
        let read = soon(join_all(holders)).await;
        assert!(read.iter().all(Result::is_ok));
        assert_eq!(soon(pool.read(balances)).await?, (999, 1001));

        let read_only = pool
            .read(move_one)
            .await
            .err()
            .map(|error| error.to_string());
        let expected = "attempt to write a readonly database";
        assert_eq!(read_only.as_deref(), Some(expected));

        soon(pool.close()).await?;
        soon(pool.close()).await?;
        let late = soon(pool.read(balances)).await;
        assert!(matches!(late, Err(PoolError::Closed)));
        let late = soon(pool.write(move_one)).await;
        assert!(matches!(late, Err(PoolError::Closed)));
        Ok(())
    }

    #[tokio::test]
    async fn a_panic_costs_a_connection_and_nothing_else() -> Tested {
        let (folder, pool) = pool(1, LONG).await?;
        for opened in 1..4 {
            assert_eq!(pool.opened(), opened);
            let panics = pool.write(|connection| -> rusqlite::Result<()> {
                move_one(connection)?;
                panic!("scheduled")
            });
            let panic = soon(AssertUnwindSafe(panics).catch_unwind()).await;
            assert!(panic.is_err_and(|panic| panic.is::<&str>()));
            soon(pool.write(|_| Ok::<_, rusqlite::Error>(()))).await?;
        }
        assert_eq!(soon(pool.read(balances)).await?, (1000, 1000));
        let panics = pool.write(|_| -> rusqlite::Result<()> { panic!("scheduled") });
        assert!(soon(AssertUnwindSafe(panics).catch_unwind()).await.is_err());
        // What reads only is left, and cannot empty the log.
        soon(pool.close()).await?;
        assert_eq!(files(folder.path())?, "accounts.db");
        let opened = pool.opened();
        soon(pool.close()).await?;
        assert_eq!(pool.opened(), opened, "none for a second time");
        Ok(())
    }

    #[tokio::test]
    async fn given_up_before_its_query_begins() -> Tested {
        let (_folder, pool) = pool(1, LONG).await?;
        let (go_on, wait) = mpsc::channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let writing = pool.write(move |connection| {
            move_one(connection)?;
            let _ = (begun.send(()), wait.recv());
            endless_query(connection)
        });
        let mut writing = Box::pin(writing);
        assert!(futures::poll!(writing.as_mut()).is_pending());
        soon(has_begun).await?;
        drop((writing, go_on));
        soon(pool.write(move_one)).await?;
        assert_eq!(soon(pool.read(balances)).await?, (999, 1001));
        soon(pool.close()).await?;
        Ok(())
    }

    #[tokio::test]
    async fn closing_refuses_who_waits_and_waits_for_who_works() -> Tested {
        let (folder, pool) = pool(1, LONG).await?;
        let (go_on, wait) = mpsc::channel::<()>();
        let working = pool.write(move |connection| {
            let _ = wait.recv();
            move_one(connection)
        });
        let mut working = Box::pin(working);
        assert!(futures::poll!(working.as_mut()).is_pending());
        let mut waiting = Box::pin(pool.write(move_one));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        for polls in 1..5 {
            assert!(poll_and_drop(pool.close(), polls).await.is_none());
        }
        let refused = soon(waiting).await;
        assert!(matches!(refused, Err(PoolError::Closed)));
        // Also when nobody waits for it: it is counted until it ends.
        drop(working);
        let mut closing = Box::pin(pool.close());
        assert!(futures::poll!(closing.as_mut()).is_pending());
        sleep(Duration::from_millis(20)).await;
        assert!(futures::poll!(closing.as_mut()).is_pending());
        drop(go_on);
        soon(closing).await?;
        assert_eq!(files(folder.path())?, "accounts.db", "the log is gone");
        let path = folder.path().join("accounts.db");
        let pool = SqlitePool::open(path, settings(1, LONG)).await?;
        assert_eq!(
            soon(pool.read(balances)).await?,
            (1000, 1000),
            "rolled back"
        );
        Ok(())
    }

    #[tokio::test]
    async fn opening_may_fail_and_costs_no_place() -> Tested {
        let (folder, pool) = pool(1, LONG).await?;
        let path = folder.path().join("accounts.db");
        let moved = folder.path().join("moved.db");
        fs::rename(&path, &moved)?;
        for _ in 0..3 {
            let read = soon(pool.read(balances)).await;
            assert!(matches!(read, Err(PoolError::Sqlite(_))), "{read:?}");
        }
        fs::rename(&moved, &path)?;
        assert_eq!(soon(pool.read(balances)).await?, (1000, 1000));
        Ok(())
    }

    #[tokio::test]
    async fn what_the_work_leaves_behind_is_cleared_away() -> Tested {
        let (_folder, pool) = pool(1, LONG).await?;
        // It ends the transaction itself, and leaves another.
        let twice = "COMMIT; BEGIN; UPDATE accounts SET balance = 7";
        let failing = pool.write(|connection| {
            connection
                .execute_batch(twice)
                .map_err(|error| error.to_string())?;
            Err::<(), _>("on purpose".to_string())
        });
        let failed = soon(failing).await.err().map(|error| error.to_string());
        assert_eq!(failed.as_deref(), Some("on purpose"));
        assert_eq!(soon(pool.read(balances)).await?, (1000, 1000));
        let or_rollback = "INSERT OR ROLLBACK INTO accounts VALUES ('Alice', 0)";
        for (ends, alice) in [("COMMIT", 999), (or_rollback, 999)] {
            let ending = pool.write(move |connection| {
                move_one(connection)?;
                let _ = connection.execute_batch(ends);
                Ok::<_, rusqlite::Error>(())
            });
            assert!(matches!(soon(ending).await, Err(PoolError::Ended)));
            assert_eq!(soon(pool.read(balances)).await?.0, alice, "{ends}");
        }
        soon(pool.write(move_one)).await?;
        assert_eq!(pool.opened(), 2);
        Ok(())
    }

    #[tokio::test]
    async fn another_program_that_writes_is_told_and_costs_nothing() -> Tested {
        let (folder, pool) = pool(1, LONG).await?;
        let path = folder.path().join("accounts.db");
        let other = spawn_blocking(move || Connection::open(path)).await??;
        other.execute_batch("BEGIN IMMEDIATE")?;
        for _ in 0..3 {
            let busy = soon(pool.write(move_one)).await;
            assert!(matches!(busy, Err(PoolError::Busy)));
            assert_eq!(soon(pool.read(balances)).await?, (1000, 1000));
        }
        other.execute_batch("COMMIT")?;
        soon(pool.write(move_one)).await?;
        assert_eq!(pool.opened(), 2);
        Ok(())
    }

    #[tokio::test]
    async fn another_program_that_writes_when_it_is_opened_is_told_at_once() -> Tested {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("accounts.db");
        let other = Connection::open(&path)?;
        other.execute_batch("CREATE TABLE accounts (name TEXT); BEGIN IMMEDIATE")?;
        let patient = Settings {
            busy: 2 * LONG,
            ..settings(1, LONG)
        };
        let opened = soon(SqlitePool::open(&path, patient)).await;
        assert!(matches!(opened, Err(PoolError::Busy)));
        Ok(())
    }

    #[tokio::test]
    async fn who_asks_first_is_served_first() -> Tested {
        let (_folder, pool) = pool(1, LONG).await?;
        let served = Arc::new(Mutex::new(Vec::new()));
        let calls = (0..100).map(|number| {
            let served = Arc::clone(&served);
            pool.write(move |_| {
                served
                    .lock()
                    .map(|mut served| served.push(number))
                    .map_err(drop)
            })
        });
        let ended = soon(join_all(calls)).await;
        assert!(ended.iter().all(Result::is_ok));
        let served = served.lock().map(|served| served.clone());
        assert!(served.is_ok_and(|served| served.into_iter().eq(0..100)));
        Ok(())
    }

    #[tokio::test]
    async fn in_a_struct_in_a_task_with_savepoints() -> Tested {
        struct Service {
            pool: SqlitePool,
            name: String,
        }
        impl Service {
            async fn pay(self: Arc<Self>, amount: i64) -> Result<i64, PoolError> {
                let service = Arc::clone(&self);
                let paying = self.pool.write(move |connection| {
                    let savepoint = connection.savepoint()?;
                    pay_in(&savepoint, &service.name, 5)?;
                    drop(savepoint);
                    pay_in(connection, &service.name, amount)
                });
                paying.await
            }
        }
        let (_folder, pool) = pool(1, LONG).await?;
        let name = "Bob".to_string();
        let service = Arc::new(Service { pool, name });
        let tasks =
            [1, 2, 3].map(|amount| tokio::spawn(Arc::clone(&service).pay(amount)));
        for paid in soon(join_all(tasks)).await {
            assert!((1001..=1006).contains(&paid??));
        }
        assert_eq!(soon(service.pool.read(balances)).await?, (1000, 1006));
        Ok(())
    }
}
