//! Nest async context managers, as in `async with a, b`: open in order, close in reverse.
//!
//! The function `with_connection` below opens a connection, awaits a closure (the body)
//! and closes the connection. For `async with a, b`, call `with_connection` again in the
//! body. If the second connection does not open, the first is closed and the inner body
//! never runs. A panic skips the close: see `scoped_resource`.
//!
//! Trap: If you open two connections at the same time with `try_join!`, or in Python with
//! `gather`, and one fails, the other connection stays open. Wait for both with `join!`,
//! and close the one that was opened, as `open_both` below does.
//!
//! Trap: If your function takes an `AsyncFnMut` (an async closure that may be called more
//! than once), a spawned task cannot call your function with a closure that borrows. The
//! compiler reports "implementation of `Send` is not general enough". Take an `FnMut() ->
//! Fut` instead, a plain closure that returns a future, as the example `retry` does.
//!
//! See also: `exit_stack`, `scoped_resource`, `cleanup_on_cancel`.
//!
//! asyncio: async with, contextlib.asynccontextmanager, asyncio.gather

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::sleep;

/// Opens a connection, runs the body, and closes the connection, even after an error.
pub async fn with_connection<T, E: From<Refused>>(
    server: &Server,
    name: &'static str,
    body: impl AsyncFnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    let connection = server.connect(name).await?;
    let result = body(&connection).await;
    server.close(connection).await;
    result
}

/// Opens both connections at the same time. If one is refused, closes the other. Dropping
/// the future closes nothing.
pub async fn open_both(
    server: &Server,
    names: [&'static str; 2],
) -> Result<[Connection; 2], Refused> {
    match tokio::join!(server.connect(names[0]), server.connect(names[1])) {
        (Ok(first), Ok(second)) => Ok([first, second]),
        (Ok(opened), Err(refused)) | (Err(refused), Ok(opened)) => {
            server.close(opened).await;
            Err(refused)
        }
        (Err(refused), Err(_)) => Err(refused),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0} refused")]
pub struct Refused(&'static str);

/// A connection. If it is dropped without a `close`, the server keeps it open.
pub struct Connection(&'static str);

/// Counts its open connections.
#[derive(Default)]
pub struct Server {
    pub open: AtomicU32,
}

impl Server {
    /// Opens a connection after 0.1 or 0.2 s.
    async fn connect(&self, name: &'static str) -> Result<Connection, Refused> {
        let millis = if name == "cellar" { 100 } else { 200 };
        sleep(Duration::from_millis(millis)).await;
        if name == "attic" {
            return Err(Refused(name));
        }
        self.open.fetch_add(1, Relaxed);
        println!("{name} opened");
        Ok(Connection(name))
    }

    async fn close(&self, connection: Connection) {
        sleep(Duration::from_millis(100)).await;
        self.open.fetch_sub(1, Relaxed);
        println!("{} closed", connection.0);
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Copies rows from one connection to another, which has room for two rows.
pub async fn copy(
    server: &Server,
    names: [&'static str; 2],
    rows: u32,
) -> Result<(), Failure> {
    // async with server.open(names[0]) as source, server.open(names[1]) as target:
    with_connection(server, names[0], async |source| {
        with_connection(server, names[1], async |target| {
            sleep(Duration::from_millis(100)).await;
            if rows > 2 {
                return Err(format!("{} is full", target.0).into());
            }
            println!("copied {rows} rows from {} to {}", source.0, target.0);
            Ok(())
        })
        .await
    })
    .await
}

fn report<T, E: std::fmt::Display>(server: &Server, result: Result<T, E>) {
    if let Err(error) = result {
        println!("{error}");
    }
    println!("still open: {}", server.open.load(Relaxed));
}

#[tokio::main]
async fn main() {
    let server = Server::default();

    println!("Opened in order, closed in reverse:");
    report(&server, copy(&server, ["cellar", "kitchen"], 2).await);

    println!("The body fails:");
    report(&server, copy(&server, ["cellar", "kitchen"], 3).await);

    println!("The second does not open:");
    report(&server, copy(&server, ["cellar", "attic"], 2).await);

    println!("Both are opened at once, and one is closed as the other fails:");
    report(&server, open_both(&server, ["cellar", "attic"]).await);

    println!("Both are opened at once, and one is left open as the other fails:");
    let both = tokio::try_join!(server.connect("cellar"), server.connect("attic"));
    report(&server, both);
}
