//! Read all rows of a table in SQLite: SELECT and fetchall, as with aiosqlite.
//!
//! The crate rusqlite blocks its thread. So write the query as a plain function and
//! call it in `spawn_blocking`, as `main` does. `collect` makes a list of the rows, or
//! returns the first error. For a struct instead of a tuple, call `row.get("name")?`
//! for each field. `fetch_users` opens the file and closes it for each call;
//! `async_sqlite` keeps it open.
//!
//! Bounds: Unbounded: The number of rows, which are all in memory, and the time of the
//! query.
//!
//! See also: `async_sqlite`, `database_connection`, `sqlite_pool`.
//!
//! asyncio: sqlite3.connect, sqlite3.Cursor.fetchall, asyncio.to_thread

use rusqlite::Connection;

/// Returns the id and the name of each user.
pub fn fetch_users(path: &str) -> rusqlite::Result<Vec<(u32, String)>> {
    let db = Connection::open(path)?;
    let mut select = db.prepare("SELECT id, name FROM users ORDER BY id")?;
    let rows = select.query_map([], |row| row.try_into())?;
    rows.collect()
}

/// Prints the users of a database: `cargo run -- users.db`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let path = std::env::args().nth(1).ok_or("usage: FILE")?;
    for (id, name) in tokio::task::spawn_blocking(move || fetch_users(&path)).await?? {
        println!("{id} {name}");
    }
    Ok(())
}

//@ clock: real
//@ try: :memory: -> no such table: users
