//! Pages that are read from a database, whose connection is closed in any case.

use std::error::Error;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::scoped_resource::{ScopeError, scoped};

type Failure = Box<dyn Error + Send + Sync>;

/// A connection to a database.
pub struct Connection {
    name: String,
    reads: u32,
}

impl Connection {
    async fn read(&mut self, page: &str) -> Result<usize, String> {
        println!("Reading {page}");
        sleep(Duration::from_millis(200)).await;
        self.reads += 1;
        assert!(page != "nowhere", "no such page");
        match page.strip_prefix("lost ") {
            Some(page) => Err(format!("{page} is lost")),
            None => Ok(page.chars().count()),
        }
    }
}

/// Connects, runs the body, disconnects.
pub async fn with_connection<T>(
    name: &str,
    body: impl AsyncFnOnce(&mut Connection) -> Result<T, String>,
) -> Result<T, ScopeError<String>> {
    println!("Connecting to {name}");
    sleep(Duration::from_millis(100)).await;
    let name = name.to_string();
    let connection = Connection { name, reads: 0 };
    scoped(connection, body, async |connection| {
        sleep(Duration::from_millis(100)).await;
        println!("Disconnected, pages read: {}", connection.reads);
        match connection.name.strip_prefix("broken ") {
            Some(name) => Err(format!("{name} did not answer")),
            None => Ok(()),
        }
    })
    .await
}

fn print_length(outcome: Result<usize, ScopeError<String>>) {
    match outcome {
        Ok(length) => println!("{length} letters"),
        Err(error) => println!("Error: {error}"),
    }
}

/// The letters of all pages together, or 0 if there is no page.
async fn letters(database: &str, pages: &[&str]) -> Result<usize, ScopeError<String>> {
    with_connection(database, async |connection| {
        if pages.is_empty() {
            return Ok(0);
        }
        let mut sum = 0;
        for page in pages {
            sum += connection.read(page).await?;
        }
        Ok(sum)
    })
    .await
}

pub async fn run() -> Result<(), Failure> {
    println!("Success:");
    print_length(letters("PostgreSQL", &["home", "news"]).await);

    println!("An early return:");
    print_length(letters("PostgreSQL", &[]).await);

    println!("The body fails:");
    print_length(letters("PostgreSQL", &["lost home", "news"]).await);

    println!("Closing fails, then both:");
    print_length(letters("broken PostgreSQL", &["home"]).await);
    print_length(letters("broken PostgreSQL", &["lost home"]).await);

    println!("The body has a bug:");
    let task = tokio::spawn(letters("PostgreSQL", &["home", "nowhere"]));
    match task.await {
        Ok(outcome) => print_length(outcome),
        Err(error) if error.is_panic() => println!("Ended by a bug"),
        Err(error) => return Err(error.into()),
    }

    let limit = Duration::from_millis(400);
    println!("A timeout of 0.4 s:");
    let scope = letters("PostgreSQL", &["home", "news"]);
    if timeout(limit, scope).await.is_err() {
        println!("Timed out");
    }

    println!("A timeout, and the scope is a task:");
    let mut task = tokio::spawn(letters("PostgreSQL", &["home", "news"]));
    if timeout(limit, &mut task).await.is_err() {
        println!("Timed out");
    }
    // Await the task before the program ends, which would drop it.
    print_length(task.await?);
    Ok(())
}
