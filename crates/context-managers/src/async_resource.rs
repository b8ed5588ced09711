//! Async context manager (async with): open a resource, use it, close it with an await.
//!
//! Rust has no `async with`. Put the code that uses the resource into an async block, and
//! the close after the block: `?` and `return` leave only the block. So the resource is
//! closed after a success, an error and an early return.
//!
//! Trap: a panic, a caller that stops waiting, or a `?` outside of the block skips the
//! close. `Drop` always runs, but cannot await ("`await` is only allowed inside `async`
//! functions and blocks").
//!
//! See also: `scoped_resource`, `cleanup_on_cancel`, `drop_guard`.
//!
//! asyncio: async with, __aenter__, __aexit__, asyncio.timeout
//! differs: asyncio closes in the last three cases as well
//! stderr: one query at a time

use std::time::Duration;

use tokio::time::{sleep, timeout};

/// A connection that has to tell its server when it opens and closes.
pub struct Database {
    is_open: bool,
}

impl Database {
    /// Opens the database, as `__aenter__` does.
    pub async fn open() -> Self {
        println!("Opening");
        sleep(Duration::from_millis(100)).await;
        Self { is_open: true }
    }

    async fn query(&self, sql: &str) -> Result<u32, QueryError> {
        println!("{sql}");
        assert!(!sql.contains(';'), "one query at a time");
        sleep(Duration::from_millis(200)).await;
        let count = sql.strip_prefix("count ").and_then(|of| of.parse().ok());
        count.ok_or_else(|| QueryError(sql.to_string()))
    }

    /// Closes the database, as `__aexit__` does. It takes the database by value, so that
    /// nobody can use it afterwards.
    pub async fn close(mut self) {
        println!("Closing");
        sleep(Duration::from_millis(100)).await;
        self.is_open = false;
        println!("Closed");
    }
}

impl Drop for Database {
    /// Runs also if nobody has called `close`.
    fn drop(&mut self) {
        if self.is_open {
            println!("Dropped, not closed");
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("syntax error in \"{0}\"")]
pub struct QueryError(String);

/// Runs two queries and adds their results; if the first gives 0, the second is not run.
pub async fn sum_of(first: &str, second: &str) -> Result<u32, QueryError> {
    let database = Database::open().await;
    let outcome = async {
        let count = database.query(first).await?;
        if count == 0 {
            return Ok(0);
        }
        Ok(count + database.query(second).await?)
    }
    .await;
    if let Err(error) = &outcome {
        println!("It failed: {error}");
    }
    database.close().await;
    outcome
}

/// The same without a block around the queries.
pub async fn sum_or_leave(first: &str, second: &str) -> Result<u32, QueryError> {
    let database = Database::open().await;
    let sum = database.query(first).await? + database.query(second).await?;
    database.close().await;
    Ok(sum)
}

fn print_sum(outcome: Result<u32, QueryError>) {
    match outcome {
        Ok(sum) => println!("Sum: {sum}"),
        Err(error) => println!("Error: {error}"),
    }
}

pub async fn run() {
    println!("All goes well:");
    print_sum(sum_of("count 3", "count 4").await);

    println!("An early return:");
    print_sum(sum_of("count 0", "count 4").await);

    println!("The second query fails:");
    print_sum(sum_of("count 3", "cuont 4").await);

    println!("It fails without a block around the queries:");
    print_sum(sum_or_leave("count 3", "cuont 4").await);

    println!("A bug in a query:");
    let task = tokio::spawn(sum_of("count 3", "count 4; count 5"));
    if task.await.is_err_and(|error| error.is_panic()) {
        println!("Ended by a bug");
    }

    println!("A timeout of 0.4 s:");
    let limit = Duration::from_millis(400);
    match timeout(limit, sum_of("count 3", "count 4")).await {
        Ok(outcome) => print_sum(outcome),
        Err(_) => println!("Timed out"),
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
