//! Users, in a file that is opened and closed several times.

use std::error::Error;
use std::path::Path;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use crate::database_connection::{Database, DatabaseError};

async fn connect(path: &Path) -> Result<Database, DatabaseError> {
    let database = Database::open(path).await?;
    // A demonstration need not wait for the disk.
    let pragma = |db: &mut Connection| db.pragma_update(None, "synchronous", "OFF");
    database.call(pragma).await?;
    println!("Connected");
    Ok(database)
}

async fn add(database: &Database, name: &str) -> Result<usize, DatabaseError> {
    // The thread may outlive the caller, so it owns what it uses.
    let name = name.to_string();
    let insert = "INSERT INTO users VALUES (?1)";
    database.call(move |db| db.execute(insert, [name])).await
}

async fn count(database: &Database) -> Result<u32, DatabaseError> {
    let select = "SELECT count(*) FROM users";
    database
        .call(|db| db.query_one(select, (), |row| row.get(0)))
        .await
}

/// Adds the users and returns how many there are. Opens and closes the database.
async fn register(path: &Path, names: &[&str]) -> Result<u32, DatabaseError> {
    let database = connect(path).await?;
    let outcome = async {
        let create = "CREATE TABLE IF NOT EXISTS users (name TEXT UNIQUE)";
        database.call(|db| db.execute(create, ())).await?;
        for name in names {
            add(&database, name).await?;
        }
        count(&database).await
    }
    .await;
    let closed = database.close().await;
    println!("Disconnected");
    let users = outcome?;
    closed?;
    Ok(users)
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = spawn_blocking(TempDir::new).await??;
    let path = folder.path().join("users.db");

    println!("Two users:");
    println!("{} users", register(&path, &["Ada", "Grace"]).await?);

    println!("The second of three users is there already:");
    match register(&path, &["Alan", "Ada", "Edsger"]).await {
        Ok(users) => println!("{users} users"),
        Err(error) => println!("Error: {error}"),
    }

    println!("Opened again, for two tasks:");
    let database = connect(&path).await?;
    println!("{} users", count(&database).await?);
    let other = database.clone();
    let task = tokio::spawn(async move { add(&other, "Edsger").await });
    let (first, second) = tokio::join!(add(&database, "Barbara"), task);
    println!("{} rows are added", first? + second??);
    println!("{} users", count(&database).await?);

    println!("Used after it was closed:");
    database.close().await?;
    match count(&database).await {
        Ok(users) => println!("{users} users"),
        Err(error) => println!("Error: {error}"),
    }
    spawn_blocking(|| folder.close()).await??;
    Ok(())
}
