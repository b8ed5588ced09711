//~ E0277 InnerConnection>` cannot be shared between threads safely
//! Two tasks share a connection without a lock.
//!
//! example: database_connection

use std::error::Error;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::task::spawn_blocking;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let connection = Arc::new(Connection::open_in_memory()?);
    let shared = Arc::clone(&connection);
    let changes = spawn_blocking(move || shared.changes()).await?;
    println!("{changes} and {} rows are changed", connection.changes());
    Ok(())
}
