//! Async with: connect to a database, query it, and disconnect even after an error.
//!
//! Rust has no `__aenter__` and `__aexit__`, so you call `connect` and `disconnect` of
//! the `Database` below yourself. Put the queries into an `async` block and await it: a
//! `?` in the block leaves only the block, not the function. Then disconnect, and return
//! the result of the block last.
//!
//! Because `disconnect` takes `self`, the compiler refuses a later query: "borrow of
//! moved value". A panic in the block, or a timeout around the function, still skips the
//! disconnect: see `async_resource`.
//!
//! See also: `async_resource`, `asynccontextmanager`, `database_connection`.
//!
//! asyncio: async with, __aenter__, __aexit__

use std::time::Duration;

use tokio::time::sleep;

struct Database;

impl Database {
    async fn connect() -> Self {
        sleep(Duration::from_secs(1)).await;
        println!("Connected to database");
        Self
    }

    async fn query(&self, sql: &str) -> Result<String, &'static str> {
        sleep(Duration::from_millis(500)).await;
        let table = sql.strip_prefix("SELECT * FROM ").ok_or("syntax error")?;
        Ok(format!("Rows of {table}"))
    }

    async fn disconnect(self) {
        sleep(Duration::from_secs(1)).await;
        println!("Disconnected from database");
    }
}

/// Sends a query and one that is wrong, and disconnects in any case.
pub async fn query_users() -> Result<String, &'static str> {
    let database = Database::connect().await;
    let result = async {
        println!("{}", database.query("SELECT * FROM users").await?);
        database.query("SELEKT * FROM users").await
    }
    .await;
    database.disconnect().await;
    result
}

#[tokio::main]
async fn main() {
    println!("{}", query_users().await.unwrap_or_else(String::from));
}
