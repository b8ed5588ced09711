//~ E0277 cannot be shared between threads safely
//! Two blocking tasks share a connection through an `Arc`, and there is no lock in it.
//!
//! example: async_sqlite

use std::sync::Arc;

use rusqlite::Connection;
use tokio::task::spawn_blocking;

#[tokio::main]
async fn main() -> rusqlite::Result<()> {
    let connection = Arc::new(Connection::open_in_memory()?);
    for query in ["SELECT 1", "SELECT 2"] {
        let connection = Arc::clone(&connection);
        let task = spawn_blocking(move || connection.execute_batch(query));
        task.await.expect("the query does not panic")?;
    }
    Ok(())
}
