//~ error lifetime may not live long enough
//! A reference to the connection outlives its scope: return a clone.
//!
//! example: scoped_resource

struct Connection {
    server: String,
}

async fn with_connection<T>(body: impl AsyncFnOnce(&mut Connection) -> T) -> T {
    let server = String::from("PostgreSQL 18");
    let mut connection = Connection { server };
    body(&mut connection).await
}

#[tokio::main]
async fn main() {
    let server = with_connection(async |connection| &connection.server).await;
    println!("Connected to {server}");
}
