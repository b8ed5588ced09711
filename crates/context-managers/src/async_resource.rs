//! Async context manager (async with): open a resource, use it, close it with an await.
//!
//! Rust has no `async with`. Use the resource in an async block, and close the resource
//! after the block. `?` and `return` in the block leave only the block, so the resource
//! is closed after a success, an error and an early return. The example `async_with` is
//! the plain form.
//!
//! Trap: If the block panics, or if the caller is cancelled or times out, the close is
//! skipped. A `?` between the open and the close, but outside the block, skips it too.
//! The destructor (`Drop`) still runs, but it cannot await ("`await` is only allowed
//! inside `async` functions and blocks"). To close even then, use the function of the
//! example `scoped_resource`, and spawn its call as a task.
//!
//! See also: `async_with`, `scoped_resource`, `cleanup_on_cancel`, `drop_guard`.
//!
//! asyncio: async with, __aenter__, __aexit__, asyncio.timeout
//! differs: asyncio also closes after a bug, a timeout, and an error outside a block

use std::time::Duration;

use tokio::time::{sleep, timeout};

struct Database {
    is_open: bool,
}

impl Database {
    async fn open() -> Self {
        sleep(Duration::from_millis(100)).await;
        println!("opened");
        Self { is_open: true }
    }

    async fn count(&self, table: &str) -> Result<u32, String> {
        sleep(Duration::from_millis(200)).await;
        match table {
            ";" => panic!("no table is called ;"),
            "orders" => Ok(6),
            "users" => Ok(3),
            "guests" => Ok(0),
            _ => Err(format!("no table {table}")),
        }
    }

    /// Closes the database. Takes it by value, so that nobody can use it afterwards.
    async fn close(mut self) {
        sleep(Duration::from_millis(100)).await;
        self.is_open = false;
        println!("closed");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.is_open {
            println!("dropped, not closed");
        }
    }
}

async fn ratio(orders: &str, users: &str) -> Result<u32, String> {
    let database = Database::open().await;
    let result = async {
        let users = database.count(users).await?;
        if users == 0 {
            return Ok(0);
        }
        Ok(database.count(orders).await? / users)
    }
    .await;
    database.close().await;
    result
}

async fn careless_ratio(orders: &str, users: &str) -> Result<u32, String> {
    let database = Database::open().await;
    let ratio = database.count(orders).await? / database.count(users).await?;
    database.close().await;
    Ok(ratio)
}

#[tokio::main]
async fn main() -> Result<(), String> {
    println!("Success, an early return and an error:");
    println!("{} for each user", ratio("orders", "users").await?);
    println!("{} for each guest", ratio("orders", "guests").await?);
    if let Err(error) = ratio("odrers", "users").await {
        println!("error: {error}");
    }

    println!("An error without a block around the queries:");
    if let Err(error) = careless_ratio("odrers", "users").await {
        println!("error: {error}");
    }

    println!("A bug:");
    let task = tokio::spawn(ratio("orders", ";"));
    if task.await.is_err_and(|error| error.is_panic()) {
        println!("ended by a bug");
    }

    println!("A timeout of 0.2 s:");
    let ratio = ratio("orders", "users");
    if timeout(Duration::from_millis(200), ratio).await.is_err() {
        println!("timed out");
    }
    Ok(())
}

//@ stderr: no table is called ;
