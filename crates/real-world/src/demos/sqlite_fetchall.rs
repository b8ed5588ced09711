//! Three users in a file.

use std::error::Error;
use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::sqlite_fetchall::fetch_users;

/// Writes a database with three users, and returns its path.
fn add_users(folder: PathBuf) -> rusqlite::Result<String> {
    let path = folder.join("users.db").display().to_string();
    Connection::open(&path)?.execute_batch(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
         INSERT INTO users (name) VALUES ('Ada'), ('Grace'), ('Alan');",
    )?;
    Ok(path)
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = spawn_blocking(TempDir::new).await??;
    let place = folder.path().to_owned();
    let path = spawn_blocking(|| add_users(place)).await??;
    for (id, name) in spawn_blocking(move || fetch_users(&path)).await?? {
        println!("{id} {name}");
    }
    Ok(spawn_blocking(|| folder.close()).await??)
}
