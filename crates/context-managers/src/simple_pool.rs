//! A simple connection pool: at most N connections, each reused by later queries.
//!
//! `Pool` below has a semaphore with N permits and a list of idle connections. `fetch`
//! waits for a permit, and takes a connection from the list or opens a new one. When the
//! rows have arrived, `fetch` puts the connection into the list. If `fetch` is cancelled
//! during its query, the connection is closed, because rows may still be on their way.
//!
//! To tell connections apart in logs, give each a number when it is opened. Do not use
//! the number of connections in use: several connections would get the same number.
//!
//! Bounds: At most N connections are open; when all are in use, `fetch` waits. Unbounded:
//! The number of waiting callers, and the time of a query.
//!
//! See also: `connection_pool`, `semaphore_pool`, `sqlite_pool`.
//!
//! asyncio: asyncio.Semaphore, async with, asyncio.gather

use std::sync::{Mutex, PoisonError};

use tokio::sync::{AcquireError, Semaphore};
use tokio::time::{Duration, sleep};

/// A connection. Dropping a connection closes it.
pub struct Connection;

async fn open() -> Connection {
    sleep(Duration::from_millis(100)).await;
    println!("Opened a connection");
    Connection
}

/// A pool: `permits` limits the open connections, `idle` holds those that no query uses.
pub struct Pool {
    pub permits: Semaphore,
    pub idle: Mutex<Vec<Connection>>,
}

/// Waits for a connection and makes a query. Fails only if the semaphore was closed.
pub async fn fetch(pool: &Pool, table: &str) -> Result<String, AcquireError> {
    let _permit = pool.permits.acquire().await?;
    let idle = || pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
    // In a `match` on this expression, the lock would be held while `open` waits.
    let reused = idle().pop();
    let connection = match reused {
        Some(connection) => connection,
        None => open().await,
    };
    sleep(Duration::from_secs(1)).await; // The query, on this connection.
    idle().push(connection);
    Ok(format!("Rows of {table}"))
}

#[tokio::main]
async fn main() -> Result<(), AcquireError> {
    let (permits, idle) = (Semaphore::new(3), Mutex::default());
    let pool = Pool { permits, idle };
    let rows = ["A", "B", "C", "D", "E"].map(|table| fetch(&pool, table));
    println!("{}", futures::future::try_join_all(rows).await?.join(", "));
    Ok(())
}
