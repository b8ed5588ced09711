//~ E0277 cannot be shared between threads safely
//! A statement leaves the closure that was lent the connection.
//!
//! example: async_sqlite

use rusqlite::Connection;

struct Database {
    connection: Connection,
}

impl Database {
    async fn call<R: Send>(&mut self, work: fn(&mut Connection) -> R) -> R {
        work(&mut self.connection)
    }
}

#[tokio::main]
async fn main() -> rusqlite::Result<()> {
    let connection = Connection::open_in_memory()?;
    let mut database = Database { connection };
    let call = database.call(|connection| connection.prepare("SELECT 1"));
    let statement = call.await?;
    println!("{}", statement.column_count());
    Ok(())
}
