//! Connections to several services, some of which do not open or not close.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::exit_stack::{Entered, ExitError, ExitStack, with_exit_stack};

const LATENCY: Duration = Duration::from_millis(100);

/// A connection to a service.
struct Connection {
    name: &'static str,
    requests: u32,
}

impl Connection {
    async fn open(name: &'static str) -> Result<Self, String> {
        if name == "fax" || name == "clock" {
            sleep(LATENCY).await;
        }
        if name == "fax" {
            return Err(format!("{name} does not answer"));
        }
        println!("{name} opened");
        Ok(Self { name, requests: 0 })
    }

    async fn request(&mut self) {
        sleep(LATENCY).await;
        self.requests += 1;
    }

    async fn close(self) -> Result<(), String> {
        sleep(LATENCY).await;
        if self.name == "tape" {
            return Err(format!("{} is stuck", self.name));
        }
        println!("{} closed after {} requests", self.name, self.requests);
        Ok(())
    }
}

type Connections = Vec<Entered<Connection>>;

/// Opens all, or none: if one fails, those that are open are closed.
async fn open_all(
    tracker: &TaskTracker,
    names: &[&'static str],
) -> Result<(Connections, ExitStack<String>), ExitError<String>> {
    with_exit_stack(tracker, async |stack| {
        let mut connections = Vec::new();
        for name in names {
            let connection = Connection::open(name).await?;
            connections.push(stack.enter(connection, Connection::close));
        }
        Ok((connections, stack.pop_all()))
    })
    .await
}

/// Opens connections, uses the first of them, and closes them.
async fn work(
    tracker: &TaskTracker,
    names: &[&'static str],
    result: Result<u32, String>,
) -> Result<u32, ExitError<String>> {
    with_exit_stack(tracker, async |stack| {
        let mut connections = Vec::new();
        for name in names {
            let connection = Connection::open(name).await?;
            connections.push(stack.enter(connection, Connection::close));
        }
        connections[0].request().await;
        result
    })
    .await
}

pub async fn run() -> Result<(), ExitError<String>> {
    let tracker = TaskTracker::new();

    println!("Closed in reverse:");
    let result = work(&tracker, &["disk", "mail", "clock"], Ok(42)).await?;
    println!("result: {result}");

    println!("The third does not open:");
    if let Err(error) = work(&tracker, &["disk", "mail", "fax"], Ok(42)).await {
        println!("{error}");
    }

    println!("One does not close, after an error:");
    let result = Err(String::from("no work was done"));
    if let Err(error) = work(&tracker, &["disk", "tape"], result).await {
        println!("{error}");
    }

    println!("Moved to the caller:");
    let (mut connections, stack) = open_all(&tracker, &["disk", "mail"]).await?;
    connections[1].request().await;
    drop(connections);
    stack.close().await?;

    println!("Cancelled when two of three are open:");
    let closings = tracker.clone();
    let names = ["disk", "mail", "clock"];
    let task = tokio::spawn(async move { work(&closings, &names, Ok(42)).await });
    sleep(LATENCY / 2).await;
    task.abort();
    if task.await.is_err_and(|error| error.is_cancelled()) {
        tracker.close();
        tracker.wait().await;
        println!("cancelled, and all is closed");
    }

    println!("Forgotten, and not closed:");
    let (connections, stack) = open_all(&tracker, &["disk", "mail"]).await?;
    drop((connections, stack));
    println!("the program continues");
    tracker.wait().await;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), ExitError<String>> {
    run().await
}
