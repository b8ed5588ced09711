//! Query SQLite without blocking the event loop: rusqlite on a thread of its own.
//!
//! SQLite's calls block, in either language. A thread that owns the connection and is
//! sent functions is what `aiosqlite` does; calls are served in the order of coming. The
//! other way is `spawn_blocking` with a lock, as with `asyncio.to_thread`: less code, but
//! each call that waits holds a thread. Without the lock a `Connection` "cannot be shared
//! between threads safely", nor can a statement be returned from the thread: return
//! values, or structs made of rows. The trap is a query that is given up: it runs on, and
//! what is behind it waits. `interrupt` stops whatever runs then: another's query, or
//! nothing yet. So here SQLite itself asks from time to time, in a progress handler,
//! whether the call that it works for was given up; a call in line is never begun.
//! `:memory:` is a new database for each connection. The crate `tokio-rusqlite` is such a
//! thread, ready made; several connections at once: `sqlite_pool`.
//!
//! asyncio: loop.run_in_executor, asyncio.to_thread, asyncio.timeout, threading.Lock
//! asyncio: asyncio.wrap_future, threading.get_ident
//! clock: real

use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use futures::future::try_join_all;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::join;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

/// After about so many of its own steps SQLite asks whether a call was given up.
const STEPS: i32 = 100;

/// So many calls are in line; further ones wait for room, in the order of coming too.
const LINE: usize = 100;

/// A connection to SQLite on a thread of its own, which is sent what to do with it.
///
/// Clones share the connection. It is closed by [`close`](Self::close), or after all
/// clones were dropped and what was in line is done.
#[derive(Clone)]
pub struct Database {
    line: mpsc::Sender<Message>,
}

enum Message {
    /// Sends its result itself.
    Call(Box<dyn FnOnce(&mut Connection) + Send>),
    Close(oneshot::Sender<rusqlite::Result<()>>),
}

/// The database was closed before the call began.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the database is closed")
    }
}

impl Error for Closed {}

impl Database {
    /// Starts the thread, on which `open` opens the connection and sets it up.
    ///
    /// # Errors
    ///
    /// What `open` returns.
    ///
    /// # Panics
    ///
    /// If `open` panics, and if the system has no thread to give.
    pub async fn open<F>(open: F) -> rusqlite::Result<Self>
    where
        F: FnOnce() -> rusqlite::Result<Connection> + Send + 'static,
    {
        let (line, messages) = mpsc::channel(LINE);
        let (opened, ready) = oneshot::channel();
        thread::spawn(move || {
            let connection = match open() {
                Ok(connection) => connection,
                Err(error) => return drop(opened.send(Err(error))),
            };
            // Whoever opened it may have left; then there is nothing in line either.
            let _ = opened.send(Ok(()));
            serve(connection, messages);
        });
        ready.await.expect("opening panicked")?;
        Ok(Self { line })
    }

    /// Runs `work` on the thread, after those that are in line, and returns its result.
    ///
    /// Dropped while it is in line, it is never begun. Dropped while it runs, each of its
    /// statements that takes long fails from then on; one that is short is still done,
    /// and a function that goes on in spite of errors, or without SQL, runs to its end.
    /// Put statements that belong together into a `connection.transaction()`, which rolls
    /// back when it is dropped. One that is left open is rolled back after the call.
    ///
    /// While `work` runs, the progress handler of the connection is taken.
    ///
    /// # Errors
    ///
    /// [`Closed`], if the database was closed before.
    ///
    /// # Panics
    ///
    /// If `work` does. The connection is used on.
    pub async fn call<R, F>(&self, work: F) -> Result<R, Closed>
    where
        R: Send + 'static,
        F: FnOnce(&mut Connection) -> R + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let given_up = CancellationToken::new();
        let _when_dropped = given_up.clone().drop_guard();
        let run = move |connection: &mut Connection| {
            if given_up.is_cancelled() {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(|| {
                connection
                    .progress_handler(STEPS, Some(move || given_up.is_cancelled()))
                    .expect("there is memory for it");
                work(connection)
            }));
            // It needs no memory to go, and a rollback that fails leaves no transaction.
            let _ = connection.progress_handler(0, None::<fn() -> bool>);
            if !connection.is_autocommit() {
                let _ = connection.execute_batch("ROLLBACK");
            }
            let _ = reply.send(result);
        };
        let message = Message::Call(Box::new(run));
        self.line.send(message).await.map_err(|_| Closed)?;
        let result = result.await.map_err(|_| Closed)?;
        Ok(result.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// Closes the connection after what is in line, and ends the thread.
    ///
    /// # Errors
    ///
    /// That of SQLite, which dropping the connection would hide. Closed already: none.
    pub async fn close(&self) -> rusqlite::Result<()> {
        let (reply, closed) = oneshot::channel();
        let _ = self.line.send(Message::Close(reply)).await;
        closed.await.unwrap_or(Ok(()))
    }
}

/// What the thread does.
fn serve(mut connection: Connection, mut messages: mpsc::Receiver<Message>) {
    while let Some(message) = messages.blocking_recv() {
        match message {
            Message::Call(run) => run(&mut connection),
            Message::Close(reply) => {
                let closed = connection.close().map_err(|(_, error)| error);
                return drop(reply.send(closed));
            }
        }
    }
}

/// The other way. Dropped, it gives nothing up: the work is begun and runs to its end.
async fn call_with_lock<R: Send + 'static>(
    connection: Arc<Mutex<Connection>>,
    work: impl FnOnce(&mut Connection) -> R + Send + 'static,
) -> Result<R, JoinError> {
    let lock = move || {
        // A connection can be used after a panic.
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut connection)
    };
    spawn_blocking(lock).await
}

/// A row of the table `users`.
#[derive(Clone)]
pub struct User {
    name: String,
    email: Option<String>,
}

impl User {
    fn new(name: &str, email: Option<&str>) -> Self {
        let (name, email) = (name.to_owned(), email.map(str::to_owned));
        Self { name, email }
    }

    /// From a row that has these columns; `get` fails if one has another type.
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (name, email) = (row.get("name")?, row.get("email")?);
        Ok(Self { name, email })
    }
}

pub const USERS: &str = "CREATE TABLE users (name TEXT NOT NULL, email TEXT UNIQUE)";

fn insert(connection: &Connection, user: &User) -> rusqlite::Result<usize> {
    let mut insert = connection.prepare_cached("INSERT INTO users VALUES (?1, ?2)")?;
    insert.execute(params![user.name, user.email])
}

fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<User>> {
    let mut find = connection.prepare_cached("SELECT * FROM users WHERE name = ?1")?;
    find.query_row([name], User::from_row).optional()
}

pub fn count(connection: &Connection, condition: &str) -> rusqlite::Result<u32> {
    let query = format!("SELECT count(*) FROM users WHERE {condition}");
    connection.query_row(&query, [], |row| row.get(0))
}

/// Stands for a query that takes 0.1 s. Returns the thread that it ran on.
fn slow_query(_: &mut Connection) -> thread::ThreadId {
    thread::sleep(Duration::from_millis(100));
    thread::current().id()
}

/// Rows without end, each of which takes a moment.
pub fn endless_query(connection: &mut Connection) -> rusqlite::Result<usize> {
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

async fn after<F: Future>(millis: u64, future: F) -> F::Output {
    sleep(Duration::from_millis(millis)).await;
    future.await
}

/// Begins a part of the demonstration so long after the start. Delays do not add up then.
async fn part(start: Instant, millis: u64, title: &str) {
    sleep_until(start + Duration::from_millis(millis)).await;
    println!("{title}");
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let start = Instant::now();
    part(start, 100, "In memory, opened anew for each statement:").await;
    let alice = User::new("Alice", Some("alice@example.com"));
    for statement in [USERS, "INSERT INTO users VALUES ('Alice', NULL)"] {
        let result = spawn_blocking(move || {
            Connection::open_in_memory()?.execute_batch(statement)
        });
        match result.await? {
            Ok(()) => println!("done"),
            Err(error) => println!("{error}"),
        }
    }

    part(
        start,
        300,
        "In memory, opened once, on a thread of its own:",
    )
    .await;
    let open = || {
        let connection = Connection::open_in_memory()?;
        connection.execute_batch(USERS)?;
        Ok(connection)
    };
    let database = Database::open(open).await?;
    for user in [alice.clone(), User::new("Bob", None), alice] {
        let name = user.name.clone();
        match database
            .call(move |connection| insert(connection, &user))
            .await?
        {
            Ok(rows) => println!("{name}: {rows} row"),
            Err(error) => println!("{name}: {error}"),
        }
    }
    part(start, 500, "Who is there:").await;
    for name in ["Alice", "Bob", "Carol"] {
        match database
            .call(move |connection| find(connection, name))
            .await??
        {
            Some(User { email, .. }) => {
                println!("{name}: {}", email.as_deref().unwrap_or("no address"));
            }
            None => println!("{name}: no such user"),
        }
    }
    part(start, 700, "A text that would be SQL:").await;
    let name = "' OR '1' = '1";
    let query = format!("name = '{name}'");
    let found = database
        .call(move |connection| count(connection, &query))
        .await??;
    println!("{name} in the query's text finds {found}");
    let found = database
        .call(move |connection| find(connection, name))
        .await??;
    println!("{name} as a parameter finds {}", found.iter().count());

    part(start, 900, "Three slow calls at once, on the thread:").await;
    let calls = (0..3).map(|_| database.call(slow_query));
    let threads = try_join_all(calls).await?;
    println!("on {} thread", HashSet::<_>::from_iter(threads).len());

    part(start, 1400, "Three slow calls at once, with a lock:").await;
    let connection = Arc::new(Mutex::new(Connection::open_in_memory()?));
    let calls = (0..3).map(|_| call_with_lock(Arc::clone(&connection), slow_query));
    let threads = try_join_all(calls).await?;
    println!("on {} threads", HashSet::<_>::from_iter(threads).len());

    part(start, 1900, "A query without end is given up after 0.4 s:").await;
    let endless = async {
        let call = database.call(endless_query);
        match timeout(Duration::from_millis(400), call).await {
            Ok(numbers) => println!("{numbers:?}"),
            Err(_) => println!("gave the query up"),
        }
    };
    let carol = User::new("Carol", None);
    let in_line = async {
        let call = database.call(move |connection| insert(connection, &carol));
        match timeout(Duration::from_millis(100), call).await {
            Ok(rows) => println!("Carol: {rows:?}"),
            Err(_) => println!("gave Carol up, in line"),
        }
    };
    let behind = async {
        println!("how many users?");
        let users = database.call(|connection| count(connection, "TRUE"));
        users.await
    };
    let (_, _, users) = join!(endless, after(100, in_line), after(300, behind));
    println!("{} users", users??);

    part(start, 2500, "Closed:").await;
    database.close().await?;
    if let Err(closed) = database.call(slow_query).await {
        println!("{closed}");
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
