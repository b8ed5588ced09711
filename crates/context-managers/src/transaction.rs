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
