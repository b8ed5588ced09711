//! A simple connection pool: at most N connections, each reused by later queries.
//!
//! A semaphore has a permit for each connection, and a list holds the idle ones. `fetch`
//! takes one from the list, or opens one, and puts it back when the rows have arrived. A
//! cancelled query closes its connection, because rows may still be on their way.
//!
//! To name connections in logs, number each when it is opened. The count of connections
//! in use does not work: several would get the same number.
//!
//! Bounds: The permits. Unbounded: Waiting callers, and the time of a query.
//!
//! See also: `connection_pool`, `semaphore_pool`, `sqlite_pool`.
//!
//! asyncio: asyncio.Semaphore, async with, asyncio.gather

use std::sync::{Mutex, PoisonError};

use tokio::sync::{AcquireError, Semaphore};
use tokio::time::{Duration, sleep};

/// Dropping it closes it.
pub struct Connection;

async fn open() -> Connection {
    sleep(Duration::from_millis(100)).await;
    println!("Opened a connection");
    Connection
}

/// As many connections as permits, and those that no query uses.
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
