//! Connections to several services, some of which do not open or not close.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::exit_stack::{Entered, ExitErrors, ExitStack};

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

/// Opens connections that the caller's stack closes.
async fn open_all<'a>(
    stack: &'a ExitStack<String>,
    names: &[&'static str],
) -> Result<Vec<Entered<'a, Connection>>, String> {
    let mut connections = Vec::new();
    for name in names {
        let connection = Connection::open(name).await?;
        connections.push(stack.enter(connection, Connection::close));
    }
    Ok(connections)
}

/// Opens connections, uses the first of them, and closes them.
async fn work(
    tracker: &TaskTracker,
    names: &[&'static str],
    result: Result<u32, String>,
) -> Result<u32, ExitErrors<String>> {
    let stack = ExitStack::new(tracker);
    let body = async {
        let mut connections = open_all(&stack, names).await?;
        connections[0].request().await;
        result
    };
    let result = body.await;
    stack.close(result).await
}

pub async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
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
    let stack = ExitStack::new(&tracker);
    let connections = open_all(&stack, &["disk", "mail", "tape"]).await?;
    drop(connections);
    drop(stack);
    println!("the program continues");
    tracker.wait().await;
    Ok(())
}
