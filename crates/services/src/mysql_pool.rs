//! Query MySQL or MariaDB from a pool of connections: rows as a list and as a stream.
//!
//! With the crate mysql_async, `exec_map` returns all rows as a list, as `fetchall`
//! does in Python; a stream reads them one by one. When you drop a connection, it
//! returns to the pool, which rolls back uncommitted changes. Pass values only as
//! parameters, never in the text of a statement.
//!
//! Bounds: In `Limits` you set the number of connections, the longest wait for one, and
//! the longest statement. After these times the call fails. Unbounded: A list is as long
//! as the result. Write a `LIMIT` into the query, or use a stream.
//!
//! Trap: If you call mysql_async's `get_conn` without a timeout, it waits forever when
//! all connections are in use or the server does not answer. Put a `timeout` around it,
//! and around all of your work.
//!
//! Trap: If you drop a query, for example by a `timeout`, the pool closes its
//! connection, but the server keeps running the query and stays busy. Only the server's
//! own limit ends it: here `Limits` sets `max_statement_time`.
//!
//! See also: `connection_pool`, `sqlite_pool`, `sqlite_fetchall`.
//!
//! asyncio: async with, async for, asyncio.timeout

use std::fmt;
use std::time::Duration;

use futures::TryStreamExt;
use mysql_async::prelude::{Query, Queryable};
use mysql_async::{Conn, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts, TxOpts};
use tokio::time::timeout;

/// What the pool allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections are open at the same time. At least 1.
    pub connections: usize,
    /// How long a caller waits for a connection.
    pub acquire: Duration,
    /// How long one statement may run at the server.
    pub statement: Duration,
}

/// Any error of the database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no connection within {} s", .0.as_secs_f64())]
    NoConnection(Duration),
    #[error(transparent)]
    MySql(#[from] mysql_async::Error),
    #[error(transparent)]
    Url(#[from] mysql_async::UrlError),
}

/// A pool of connections. Clones share it.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    acquire: Duration,
}

impl fmt::Debug for Database {
    // `{:?}` of a `Pool` or of a `Conn` prints the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// Returns a pool for a URL such as `mysql://user:password@host:3306/name`. The first
    /// [`connection`](Self::connection) connects. Over a network, add TLS: `ssl_opts`.
    pub fn new(url: &str, limits: Limits) -> Result<Self, Error> {
        let constraints = PoolConstraints::new(0, limits.connections.max(1));
        let pool = PoolOpts::new()
            .with_constraints(constraints.unwrap_or_default())
            // Without this, an idle connection is closed as soon as it comes back.
            .with_inactive_connection_ttl(Duration::from_secs(60));
        // For the server, 0 is no limit.
        let seconds = limits.statement.as_secs_f64().clamp(1e-6, 31_536_000.0);
        let opts = OptsBuilder::from_opts(Opts::from_url(url)?)
            .pool_opts(pool)
            // MySQL does not know this name, and each connect would fail. There it is
            // `max_execution_time`, in milliseconds, which ends a SELECT only.
            .setup(vec![format!("SET max_statement_time = {seconds}")]);
        Ok(Self {
            pool: Pool::new(opts),
            acquire: limits.acquire,
        })
    }

    /// Borrows a connection. Drop it to return it.
    pub async fn connection(&self) -> Result<Conn, Error> {
        match timeout(self.acquire, self.pool.get_conn()).await {
            Ok(connection) => Ok(connection?),
            Err(_) => Err(Error::NoConnection(self.acquire)),
        }
    }

    /// Closes the connections when they have returned. Without this, the program's end
    /// cuts them off.
    pub async fn close(self) -> Result<(), Error> {
        Ok(self.pool.disconnect().await?)
    }
}

/// A row of the table `users`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: u32,
    pub name: String,
}

/// Adds all users or, after an error or a cancellation, none.
pub async fn add_users(database: &Database, names: &[String]) -> Result<(), Error> {
    let mut connection = database.connection().await?;
    let mut transaction = connection.start_transaction(TxOpts::default()).await?;
    let add = "INSERT INTO users (name) VALUES (?)";
    transaction
        .exec_batch(add, names.iter().map(|name| (name,)))
        .await?;
    Ok(transaction.commit().await?)
}

/// Returns the users whose names begin so, at most a hundred. In the prefix, `%` stands
/// for any text and `_` for any character. Put a backslash before them.
pub async fn find_users(database: &Database, prefix: &str) -> Result<Vec<User>, Error> {
    let sql = "SELECT id, name FROM users WHERE name LIKE CONCAT(?, '%')
               ORDER BY id LIMIT 100";
    let mut connection = database.connection().await?;
    let users = connection.exec_map(sql, (prefix,), |(id, name)| User { id, name });
    Ok(users.await?)
}

/// Returns the length of the longest name. One row at a time is in memory.
pub async fn longest_name(database: &Database) -> Result<usize, Error> {
    let mut connection = database.connection().await?;
    let mut names = "SELECT name FROM users"
        .stream::<String, _>(&mut connection)
        .await?;
    let mut longest = 0;
    while let Some(name) = names.try_next().await? {
        longest = longest.max(name.chars().count());
    }
    Ok(longest)
}

/// Adds its arguments as users, and shows all: `cargo run -- Ada Bob`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::var("MYSQL_URL")
        .map_err(|_| "set MYSQL_URL=mysql://user:password@host:3306/name")?;
    let limits = Limits {
        connections: 10,
        acquire: Duration::from_secs(2),
        statement: Duration::from_secs(30),
    };
    let database = Database::new(&url, limits)?;
    let sql = "CREATE TABLE IF NOT EXISTS users (
                   id INT UNSIGNED PRIMARY KEY AUTO_INCREMENT, name TEXT NOT NULL)
               CHARACTER SET utf8mb4";
    database.connection().await?.query_drop(sql).await?;
    let names: Vec<String> = std::env::args().skip(1).collect();
    add_users(&database, &names).await?;
    for User { id, name } in find_users(&database, "").await? {
        println!("user {id}: {name}");
    }
    database.close().await?;
    Ok(())
}

//@ clock: real
//@ try: Ada😀 -> : Ada😀
