//! Connections that log out of their server when they are closed or dropped.

use std::error::Error;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::async_drop::{AsyncClose, CloseOnDrop, CloseTasks};

struct Connection {
    name: &'static str,
    /// How long the server takes to answer the last message.
    millis: u64,
}

impl AsyncClose for Connection {
    type Error = std::io::Error;

    async fn close(self) -> std::io::Result<()> {
        sleep(Duration::from_millis(self.millis)).await;
        println!("{} has logged out", self.name);
        Ok(())
    }
}

/// Fails after 0.2 s.
async fn talk(connection: CloseOnDrop<Connection>) -> Result<(), String> {
    sleep(Duration::from_millis(200)).await;
    Err(format!("{} has nothing to say", connection.name))
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let close_tasks = CloseTasks::new(Duration::from_millis(400));
    let connect = |name, millis| close_tasks.guard(Connection { name, millis });
    let pause = Duration::from_millis(150);

    println!("Closed:");
    connect("Ada", 100).close().await?;
    println!("Ada is closed");

    println!("Dropped by an error:");
    if let Err(error) = talk(connect("Ben", 100)).await {
        println!("{error}");
    }
    sleep(pause).await;

    println!("Dropped by a cancellation:");
    let cid = tokio::spawn(talk(connect("Cid", 100)));
    sleep(pause).await;
    cid.abort();
    if cid.await.is_err_and(|error| error.is_cancelled()) {
        println!("Cid was cancelled");
    }
    sleep(pause).await;

    println!("A close that takes 0.5 s, where 0.4 s are allowed:");
    if let Err(error) = connect("Dan", 500).close().await {
        println!("Dan: {error}");
    }

    println!("The caller times out after 0.05 s, and the program ends:");
    let closing = connect("Eve", 100).close();
    if timeout(pause / 3, closing).await.is_err() {
        println!("timed out");
    }
    close_tasks.wait().await;
    println!("all are closed");
    Ok(())
}
