//! Users in a database in memory: errors, slow calls, and a query that is given up.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use futures::future::try_join_all;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::join;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::async_sqlite::Database;

pub type Failure = Box<dyn Error + Send + Sync>;

/// The other way. Dropping its future does not stop the work.
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
struct User {
    name: String,
    email: Option<String>,
}

impl User {
    fn new(name: &str, email: Option<&str>) -> Self {
        let (name, email) = (name.to_owned(), email.map(str::to_owned));
        Self { name, email }
    }

    /// Returns the user of a row. `get` fails if a column is missing or of another type.
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (name, email) = (row.get("name")?, row.get("email")?);
        Ok(Self { name, email })
    }
}

const USERS: &str = "CREATE TABLE users (name TEXT NOT NULL, email TEXT UNIQUE)";

fn insert(connection: &Connection, user: &User) -> rusqlite::Result<usize> {
    let mut insert = connection.prepare_cached("INSERT INTO users VALUES (?1, ?2)")?;
    insert.execute(params![user.name, user.email])
}

fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<User>> {
    let mut find = connection.prepare_cached("SELECT * FROM users WHERE name = ?1")?;
    find.query_row([name], User::from_row).optional()
}

fn count(connection: &Connection, condition: &str) -> rusqlite::Result<u32> {
    let query = format!("SELECT count(*) FROM users WHERE {condition}");
    connection.query_row(&query, [], |row| row.get(0))
}

/// Simulates a query that takes 0.1 s. Returns the thread that it ran on.
fn slow_query(_: &mut Connection) -> thread::ThreadId {
    thread::sleep(Duration::from_millis(100));
    thread::current().id()
}

/// Rows without end, each of which takes a moment.
fn endless_query(connection: &mut Connection) -> rusqlite::Result<usize> {
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

/// Begins a part of the demonstration at its time, so that delays do not add up.
async fn part(start: Instant, millis: u64, title: &str) {
    sleep_until(start + Duration::from_millis(millis)).await;
    println!("{title}");
}

pub async fn run() -> Result<(), Failure> {
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
    part(start, 700, "A value that contains SQL:").await;
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
        println!("asks for the number of users");
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
