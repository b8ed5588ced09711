//! A database transaction as an async context manager: commit on success, else roll back.
//!
//! The body may await between statements. If it returns a value, all is committed; after
//! an error or a panic, or when the caller is cancelled, nothing is. The roll-back must
//! not need an await, as a cancelled task gets none: here the transaction rolls back when
//! it is dropped, as a rule on a blocking thread, and the next one waits for that.
//! Cancelled during the commit, all is there. The trap is a connection that is shared
//! without a lock over the whole transaction: what another task writes is rolled back,
//! too. The crate `sqlx` does more: its `Transaction` is one of a pool, and of other
//! databases.
//!
//! asyncio: async with, contextlib.asynccontextmanager, asyncio.to_thread, asyncio.Lock
//! stderr: nobody has checked it

use std::error::Error;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

type Failure = Box<dyn Error + Send + Sync>;

/// A connection, in which there is one transaction at a time, in the order of asking.
/// Clones share it.
#[derive(Clone)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
}

/// A transaction that has begun. Dropped, it is rolled back: as a rule on a blocking
/// thread, but where it is dropped if a call had just ended and nobody has its result.
pub struct Transaction {
    /// `None` while a call runs, and for ever if that call was dropped or has panicked.
    open: Option<Open>,
}

/// Why a call failed. Only in the first case may there be more calls.
#[derive(Debug)]
pub enum TransactionError {
    /// The error of the call itself.
    Sqlite(rusqlite::Error),
    /// All was rolled back before this call: by SQLite, because of an error; or because
    /// an earlier call panicked, or was dropped before its end.
    RolledBack,
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(error) => error.fmt(f),
            Self::RolledBack => f.write_str("the transaction was rolled back before"),
        }
    }
}

impl Error for TransactionError {}

impl Database {
    /// Makes transactions of this connection.
    pub fn new(connection: Connection) -> Self {
        let connection = Arc::new(Mutex::new(connection));
        Self { connection }
    }

    /// Begins a transaction, awaits the body, and commits if that succeeds.
    ///
    /// Dropped or aborted while the body runs, it rolls back; once it has begun to
    /// commit, it commits. In either case the next transaction waits for that. A body
    /// that asks the same database for a transaction waits for ever.
    ///
    /// # Errors
    ///
    /// That of the body, and all is rolled back; or that of the commit, and so it is. An
    /// error in a call that the body handles does not roll back what was done before it.
    ///
    /// # Panics
    ///
    /// When the body does, or what it calls; all is rolled back.
    pub async fn transaction<T, E: From<TransactionError>>(
        &self,
        body: impl AsyncFnOnce(&mut Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = Arc::clone(&self.connection).lock_owned().await;
        let open = Some(Open(connection));
        let mut transaction = Transaction { open };
        // At once: if another program writes, this fails here and not halfway.
        transaction.execute("BEGIN IMMEDIATE").await?;
        let result = body(&mut transaction).await;
        if result.is_ok() {
            transaction.execute("COMMIT").await?;
        } else {
            // If this fails, the drop tries again; the body's error is the one to tell.
            let _ = transaction.execute("ROLLBACK").await;
        }
        result
    }
}

impl Transaction {
    /// Runs statements on a blocking thread, which waits for nothing but the disk. Many
    /// rows go into one call. None of the statements may end the transaction.
    ///
    /// Dropped before its end, it rolls back all of the transaction.
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
        let open = self.open.take().ok_or(TransactionError::RolledBack)?;
        let called = spawn_blocking(move || (statements(&open.0), open)).await;
        let (result, open) = called.map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_shut_down) => TransactionError::RolledBack,
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

/// The connection, locked for one transaction. Whoever has it last, on whatever thread,
/// rolls back what was not committed.
struct Open(OwnedMutexGuard<Connection>);

impl Drop for Open {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // If this fails, the next transaction cannot begin, and says so.
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

async fn add(
    transaction: &mut Transaction,
    owner: &'static str,
    amount: i64,
) -> Result<(), Failure> {
    const ADD: &str = "UPDATE accounts SET balance = balance + ?1 WHERE owner = ?2";
    let add = move |connection: &Connection| {
        connection
            .prepare_cached(ADD)?
            .execute(params![amount, owner])
    };
    match transaction.call(add).await? {
        0 => Err(format!("{owner} has no account").into()),
        _ => Ok(()),
    }
}

/// Gives first, and takes only after the bank was asked.
async fn transfer(
    database: &Database,
    [from, to]: [&'static str; 2],
    amount: i64,
) -> Result<(), Failure> {
    database
        .transaction(async |transaction| {
            add(transaction, to, amount).await?;
            sleep(Duration::from_millis(100)).await;
            assert!(amount != 13, "nobody has checked it");
            println!("{amount} from {from} to {to}: the bank agrees");
            add(transaction, from, -amount).await
        })
        .await
}

async fn print_balances(database: &Database) -> Result<(), Failure> {
    const ALL: &str = "SELECT owner || ' has ' || balance FROM accounts ORDER BY owner";
    let balances = database.transaction(async |transaction| {
        let read = |connection: &Connection| {
            let mut statement = connection.prepare_cached(ALL)?;
            statement
                .query_map([], |row| row.get::<_, String>(0))?
                .collect()
        };
        transaction.call(read).await
    });
    let balances: Vec<_> = balances.await?;
    println!("{}", balances.join(", "));
    Ok(())
}

/// Locks the connection for one statement only, which is too short for a transaction.
async fn execute(database: &Database, sql: &'static str) -> Result<(), Failure> {
    let connection = Arc::clone(&database.connection).lock_owned().await;
    Ok(spawn_blocking(move || connection.execute_batch(sql)).await??)
}

fn open() -> rusqlite::Result<Database> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(
        "CREATE TABLE accounts (owner TEXT PRIMARY KEY, balance CHECK (balance >= 0));
         INSERT INTO accounts VALUES ('ann', 100), ('bob', 50);",
    )?;
    Ok(Database::new(connection))
}

pub async fn run() -> Result<(), Failure> {
    let database = open()?;
    let pause = Duration::from_millis(50);

    println!("Committed:");
    transfer(&database, ["ann", "bob"], 30).await?;
    print_balances(&database).await?;

    println!("Rolled back after an error, in SQLite and outside:");
    for (names, amount) in [(["ann", "bob"], 71), (["cat", "bob"], 1)] {
        if let Err(error) = transfer(&database, names, amount).await {
            println!("{error}");
        }
    }
    print_balances(&database).await?;

    println!("Rolled back after a panic:");
    let shared = database.clone();
    let task = tokio::spawn(async move { transfer(&shared, ["ann", "bob"], 13).await });
    if task.await.is_err_and(|error| error.is_panic()) {
        println!("it panicked");
    }
    print_balances(&database).await?;

    println!("Rolled back as it is cancelled, while another waits for it:");
    let shared = database.clone();
    let first = tokio::spawn(async move { transfer(&shared, ["ann", "bob"], 20).await });
    let shared = database.clone();
    let second = tokio::spawn(async move {
        sleep(pause / 2).await;
        transfer(&shared, ["bob", "ann"], 5).await
    });
    sleep(pause).await;
    first.abort();
    if first.await.is_err_and(|error| error.is_cancelled()) {
        println!("cancelled");
    }
    second.await??;
    print_balances(&database).await?;

    println!("Locked for each statement, and not for the transaction:");
    let shared = database.clone();
    let other = tokio::spawn(async move {
        sleep(pause).await;
        execute(
            &shared,
            "UPDATE accounts SET balance = 0 WHERE owner = 'bob'",
        )
        .await
    });
    execute(&database, "BEGIN; UPDATE accounts SET balance = 999").await?;
    sleep(2 * pause).await;
    other.await??;
    println!("bob has spent all, in another task");
    execute(&database, "ROLLBACK").await?;
    println!("rolled back, and with it what bob has spent");
    print_balances(&database).await
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::task::Poll;
    use std::time::Duration;

    use futures::FutureExt;
    use rusqlite::{Connection, params};
    use tokio::runtime::Builder;
    use tokio::task::{JoinSet, spawn_blocking};
    use tokio::time::{sleep, timeout};

    use super::{Database, Transaction, TransactionError};

    const HOUR: Duration = Duration::from_secs(3600);
    const TICK: Duration = Duration::from_millis(1);

    type Done = Result<(), TransactionError>;

    /// Runs a test with one blocking thread.
    fn test(test: impl Future<Output = ()>) {
        let mut runtime = Builder::new_current_thread();
        runtime
            .enable_time()
            .start_paused(true)
            .max_blocking_threads(1);
        runtime.build().expect("a runtime").block_on(test);
    }

    /// Polls the future at most `polls` times, and drops it if it is not ready then.
    ///
    /// As the blocking thread is kept busy during each poll, no call ends within one. The
    /// drop comes before the last call runs, or after.
    async fn poll_and_drop<T>(
        future: impl Future<Output = T>,
        polls: usize,
        before: bool,
    ) -> Option<T> {
        let mut future = Box::pin(future);
        for poll in 1..=polls {
            let (release, busy) = channel::<()>();
            spawn_blocking(move || busy.recv());
            if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
                return Some(output);
            }
            if poll == polls && before {
                drop(future);
                drop(release);
                sleep(TICK).await;
                return None;
            }
            drop(release);
            sleep(TICK).await;
        }
        None
    }

    fn numbers() -> Database {
        let connection = Connection::open_in_memory().expect("it opens");
        let table = "CREATE TABLE numbers (number PRIMARY KEY, id)";
        connection.execute_batch(table).expect("it is made");
        Database::new(connection)
    }

    async fn insert(transaction: &mut Transaction, number: u32, id: u32) -> Done {
        let sql = "INSERT INTO numbers VALUES (?1, ?2)";
        let insert =
            move |connection: &Connection| connection.execute(sql, params![number, id]);
        transaction.call(insert).await.map(|_| ())
    }

    async fn all(database: &Database) -> Vec<u32> {
        let sql = "SELECT number FROM numbers ORDER BY number";
        let all = database.transaction(async |transaction| {
            let read = |connection: &Connection| {
                let mut statement = connection.prepare(sql)?;
                statement.query_map([], |row| row.get(0))?.collect()
            };
            transaction.call(read).await
        });
        let all: Result<_, TransactionError> = timeout(HOUR, all).await.expect("wedged");
        all.expect("it can be read")
    }

    #[test]
    fn dropped_at_each_await_it_is_there_wholly_or_not() {
        test(async {
            for before in [false, true] {
                // Polled at BEGIN, 1, sleep, sleep, 2, COMMIT, and the end.
                for (polls, expected) in [0, 0, 0, 0, 0, 0, 2, 2].into_iter().enumerate()
                {
                    let database = numbers();
                    let two = database.transaction(async |transaction| {
                        insert(transaction, 1, 0).await?;
                        sleep(2 * TICK).await;
                        insert(transaction, 2, 0).await
                    });
                    let done: Option<Done> = poll_and_drop(two, polls, before).await;
                    assert_eq!(done.is_some(), polls == 7, "{polls} polls");
                    let there = all(&database).await;
                    assert_eq!(there, [1, 2][..expected], "{polls} polls, {before}");
                }
            }
        });
    }

    #[test]
    fn dropped_it_is_rolled_back_on_a_blocking_thread() {
        test(async {
            let database = numbers();
            let mut one = Box::pin(database.transaction(async |transaction| {
                insert(transaction, 1, 0).await?;
                sleep(HOUR).await;
                Ok::<_, TransactionError>(())
            }));
            assert!(timeout(10 * TICK, one.as_mut()).await.is_err());
            let (release, busy) = channel::<()>();
            spawn_blocking(move || busy.recv());
            drop(one);
            assert!(database.connection.try_lock().is_err(), "not here and now");
            drop(release);
            assert_eq!(all(&database).await, []);
        });
    }

    #[test]
    fn dropped_while_it_waits_it_leaves_the_line() {
        test(async {
            let database = numbers();
            let held = database.connection.lock().await;
            let mut done = Vec::new();
            for number in 0..3 {
                let database = database.clone();
                done.push(tokio::spawn(async move {
                    let one = database.transaction(async |transaction| {
                        insert(transaction, number, 0).await
                    });
                    one.await.is_ok()
                }));
                sleep(TICK).await;
            }
            done[1].abort();
            drop(held);
            sleep(TICK).await;
            assert_eq!(all(&database).await, [0, 2]);
        });
    }

    /// 2,500 transactions of four statements each; one in five fails, one in five panics,
    /// and one in five is aborted or dropped.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn ten_thousand_statements() {
        let database = numbers();
        let mut set = JoinSet::new();
        for id in 0..2500_u32 {
            let database = database.clone();
            let task = set.spawn(async move {
                let done = database.transaction(async |transaction| {
                    for number in 0..2 {
                        insert(transaction, 2 * id + number, id).await?;
                    }
                    match id % 5 {
                        0 => insert(transaction, 2 * id, id).await,
                        1 => panic!("scheduled"),
                        _ => Ok(()),
                    }
                });
                match id % 10 {
                    2 => timeout(Duration::from_millis(id.into()), done)
                        .await
                        .map_or(None, |done| Some((id, done.is_ok()))),
                    _ => Some((id, done.await.is_ok())),
                }
            });
            if id % 10 == 7 {
                tokio::task::yield_now().await;
                task.abort();
            }
        }
        let (mut committed, mut panicked, mut cancelled) = (Vec::new(), 0, 0);
        while let Some(ended) = set.join_next().await {
            match ended {
                Ok(Some((id, ok))) => {
                    assert_eq!(ok, id % 5 > 1);
                    committed.extend(ok.then_some(id));
                }
                Ok(None) => cancelled += 1,
                Err(error) if error.is_panic() => panicked += 1,
                Err(_) => cancelled += 1,
            }
        }
        let there = all(&database).await;
        let pairs = there.chunks(2).map(|pair| (pair[0] / 2, pair));
        let mut ids = Vec::new();
        for (id, pair) in pairs {
            assert_eq!(pair, [2 * id, 2 * id + 1], "half of one");
            assert!(id % 5 > 1, "{id} was to be rolled back");
            ids.push(id);
        }
        assert!(committed.iter().all(|id| ids.binary_search(id).is_ok()));
        // A cancelled one may have been committed all the same.
        assert!(ids.len() <= committed.len() + cancelled && ids.len() >= 1000);
        assert_eq!(panicked, 500);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_rolls_back_and_wedges_nothing() {
        for in_statement in [false, true] {
            let database = numbers();
            let panics = database.transaction(async |transaction| {
                insert(transaction, 1, 0).await?;
                let read = move |_: &Connection| {
                    assert!(!in_statement, "a bug");
                    Ok(())
                };
                transaction.call(read).await?;
                assert!(in_statement, "a bug");
                Ok::<_, TransactionError>(())
            });
            let panics = AssertUnwindSafe(panics).catch_unwind().await;
            let panic = panics.expect_err("it goes on");
            assert_eq!(panic.downcast_ref(), Some(&"a bug"));
            assert_eq!(all(&database).await, []);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rolled_back_by_sqlite_it_runs_nothing_more() {
        let database = numbers();
        let done = database.transaction(async |transaction| {
            insert(transaction, 1, 0).await?;
            let sql = "INSERT OR ROLLBACK INTO numbers VALUES (1, 0)";
            let twice = transaction
                .call(|connection| connection.execute(sql, []))
                .await;
            assert!(matches!(twice, Err(TransactionError::Sqlite(_))));
            let more = insert(transaction, 2, 0).await;
            assert!(matches!(more, Err(TransactionError::RolledBack)));
            Ok(())
        });
        assert!(matches!(done.await, Err(TransactionError::RolledBack)));
        assert_eq!(all(&database).await, []);
    }

    #[test]
    fn rolled_back_by_a_dropped_call_it_runs_nothing_more() {
        test(async {
            for before in [false, true] {
                let database = numbers();
                let done = database.transaction(async |transaction| {
                    insert(transaction, 1, 0).await?;
                    let dropped = insert(transaction, 2, 0);
                    assert!(poll_and_drop(dropped, 1, before).await.is_none());
                    let more = insert(transaction, 3, 0).await;
                    assert!(matches!(more, Err(TransactionError::RolledBack)));
                    Ok(())
                });
                assert!(matches!(done.await, Err(TransactionError::RolledBack)));
                assert_eq!(all(&database).await, []);
            }
        });
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_that_is_handled_rolls_nothing_back() {
        let database = numbers();
        let done = database.transaction(async |transaction| {
            insert(transaction, 1, 0).await?;
            assert!(insert(transaction, 1, 0).await.is_err());
            insert(transaction, 2, 0).await
        });
        assert!(done.await.is_ok());
        assert_eq!(all(&database).await, [1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_that_fails_rolls_back() {
        let database = numbers();
        let tables = "PRAGMA foreign_keys = ON; CREATE TABLE owners (id PRIMARY KEY);
            CREATE TABLE pets (owner REFERENCES owners DEFERRABLE INITIALLY DEFERRED)";
        let connection = database.connection.lock().await;
        connection.execute_batch(tables).expect("they are made");
        drop(connection);
        let done = database.transaction(async |transaction| {
            insert(transaction, 1, 0).await?;
            let sql = "INSERT INTO pets VALUES (1)";
            transaction
                .call(|connection| connection.execute(sql, []))
                .await
        });
        assert!(matches!(done.await, Err(TransactionError::Sqlite(_))));
        assert_eq!(all(&database).await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn one_within_another_waits_for_ever() {
        let database = numbers();
        let nested = database.transaction(async |_| {
            let inner = database.transaction(async |_| Ok::<_, TransactionError>(()));
            inner.await
        });
        assert!(timeout(HOUR, nested).await.is_err());
        assert_eq!(all(&database).await, []);
    }

    #[test]
    fn a_runtime_that_is_shut_down_rolls_back() {
        let runtime = || Builder::new_current_thread().enable_time().build();
        let database = numbers();
        let shared = database.clone();
        let first = runtime().expect("a runtime");
        first.block_on(async {
            tokio::spawn(async move {
                let done = shared.transaction(async |transaction| {
                    insert(transaction, 1, 0).await?;
                    sleep(HOUR).await;
                    Ok::<_, TransactionError>(())
                });
                done.await.is_ok()
            });
            sleep(50 * TICK).await;
            assert!(database.connection.try_lock().is_err(), "it has begun");
        });
        drop(first);
        let second = runtime().expect("a runtime");
        assert_eq!(second.block_on(all(&database)), []);
    }

    #[tokio::test]
    async fn in_a_struct_in_tasks() {
        struct Service {
            database: Database,
            name: String,
        }

        impl Service {
            async fn add(&self, number: u32) -> Result<usize, TransactionError> {
                let mut inserted = 0;
                let add = self.database.transaction(async |transaction| {
                    insert(transaction, number, 0).await?;
                    inserted += 1;
                    Ok(self.name.len())
                });
                let length = add.await?;
                Ok(length * inserted)
            }
        }
        let (database, name) = (numbers(), String::from("four"));
        let service = Arc::new(Service { database, name });
        let tasks = (0..4).map(|number| {
            let service = Arc::clone(&service);
            tokio::spawn(async move { service.add(number).await })
        });
        for task in tasks.collect::<Vec<_>>() {
            assert_eq!(task.await.expect("no panic").expect("no error"), 4);
        }
        assert_eq!(all(&service.database).await, [0, 1, 2, 3]);
    }
}
