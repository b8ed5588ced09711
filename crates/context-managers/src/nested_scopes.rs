//! Nest async context managers, as in `async with a, b`: open in order, close in reverse.
//!
//! `with_connection` opens, awaits the body and closes. Nest two calls for `async with a,
//! b`. If the second does not open, the first is closed and the body never runs. After a
//! panic nothing is closed: see `scoped_resource`.
//!
//! Trap: opening both at once with `try_join!`, or `gather`, leaves one open if the other
//! fails. Wait for both with `join!`, and close the one that is open.
//!
//! Trap: a body that is called more than once cannot be an `AsyncFnMut` in a task
//! ("implementation of `Send` is not general enough"). Take `FnMut() -> Fut`, as `retry`.
//!
//! See also: `exit_stack`, `scoped_resource`, `cleanup_on_cancel`.
//!
//! asyncio: async with, contextlib.asynccontextmanager, asyncio.gather

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

/// How long each request of a connection takes.
pub const LATENCY: Duration = Duration::from_millis(100);
/// How many rows fit into a table.
const CAPACITY: u32 = 2;

type Failure = Box<dyn Error + Send + Sync>;

/// The server has refused to open a connection of this name.
#[derive(Debug, thiserror::Error)]
#[error("{0} refused")]
pub struct Refused(&'static str);

/// Opens a connection, runs the body with it, and closes it, also when the body fails.
pub async fn with_connection<T, E: From<Refused>>(
    server: &Arc<Server>,
    name: &'static str,
    body: impl AsyncFnOnce(&mut Connection) -> Result<T, E>,
) -> Result<T, E> {
    let mut connection = server.open(name).await?;
    let result = body(&mut connection).await;
    connection.close().await;
    result
}

/// Opens both at once. If one is refused, the other is closed. Dropping the future closes
/// nothing.
pub async fn open_both(
    server: &Arc<Server>,
    names: [&'static str; 2],
) -> Result<(Connection, Connection), Refused> {
    match tokio::join!(server.open(names[0]), server.open(names[1])) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (Ok(opened), Err(refused)) | (Err(refused), Ok(opened)) => {
            opened.close().await;
            Err(refused)
        }
        (Err(refused), Err(_)) => Err(refused),
    }
}

/// Copies rows from one table to another, and returns their number.
pub async fn copy(
    server: &Arc<Server>,
    names: [&'static str; 2],
    rows: u32,
) -> Result<u32, Failure> {
    // async with server.open(names[0]) as source, server.open(names[1]) as target:
    with_connection(server, names[0], async |source| {
        with_connection(server, names[1], async |target| {
            for row in 1..=rows {
                target.write(source.read(row).await).await?;
            }
            Ok(rows)
        })
        .await
    })
    .await
}

/// Knows which connections are open.
#[derive(Default)]
pub struct Server {
    open: Mutex<Vec<&'static str>>,
}

impl Server {
    async fn open(self: &Arc<Self>, name: &'static str) -> Result<Connection, Refused> {
        let latency = if name == "cellar" {
            LATENCY
        } else {
            2 * LATENCY
        };
        sleep(latency).await;
        if name == "attic" {
            return Err(Refused(name));
        }
        println!("{name} opened");
        self.names().push(name);
        let server = Arc::clone(self);
        Ok(Connection {
            server,
            name,
            rows: 0,
        })
    }

    pub(crate) fn names(&self) -> MutexGuard<'_, Vec<&'static str>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that the server keeps open if it is only dropped.
pub struct Connection {
    server: Arc<Server>,
    name: &'static str,
    rows: u32,
}

impl Connection {
    async fn read(&mut self, row: u32) -> String {
        format!("row {row} of {}", self.name)
    }

    async fn write(&mut self, row: String) -> Result<(), String> {
        sleep(LATENCY).await;
        if self.rows == CAPACITY {
            return Err(format!("{} is full", self.name));
        }
        self.rows += 1;
        println!("{row} written to {}", self.name);
        Ok(())
    }

    pub(crate) async fn close(self) {
        sleep(LATENCY).await;
        {
            let mut names = self.server.names();
            if let Some(place) = names.iter().position(|name| *name == self.name) {
                names.remove(place);
            }
        }
        println!("{} closed", self.name);
    }
}

fn report(server: &Server, result: Result<u32, Failure>) {
    match result {
        Ok(rows) => println!("{rows} rows copied"),
        Err(error) => println!("{error}"),
    }
    match server.names().join(", ") {
        names if names.is_empty() => println!("none is open"),
        names => println!("still open: {names}"),
    }
}

pub async fn run() -> Result<(), Failure> {
    let server = Arc::new(Server::default());

    println!("Opened in order, closed in reverse:");
    report(&server, copy(&server, ["cellar", "kitchen"], 2).await);

    println!("The body fails:");
    report(&server, copy(&server, ["cellar", "kitchen"], 3).await);

    println!("The second does not open:");
    report(&server, copy(&server, ["cellar", "attic"], 2).await);

    println!("Both opened at once:");
    let (cellar, kitchen) = open_both(&server, ["cellar", "kitchen"]).await?;
    kitchen.close().await;
    cellar.close().await;

    println!("Opened at once, and closed as the other fails:");
    if let Err(refused) = open_both(&server, ["cellar", "attic"]).await {
        report(&server, Err(refused.into()));
    }

    println!("Opened at once, and left open as the other fails:");
    if let Err(refused) = tokio::try_join!(server.open("cellar"), server.open("attic")) {
        report(&server, Err(refused.into()));
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
