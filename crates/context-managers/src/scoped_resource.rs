//! An asynccontextmanager: a function that takes an async closure, and then cleans up.
//!
//! The body is an async closure that borrows the resource. A second closure, which may
//! await, closes the resource after the body has succeeded, failed or panicked. A
//! `return` or `?` in the body leaves only the body.
//!
//! Trap: if the caller stops waiting, the body is dropped and nothing closes the
//! resource. Spawn the whole scope: it then runs to its end. Or stop the body:
//! `cleanup_on_cancel`.
//!
//! Trap: "lifetime may not live long enough": the body may not return a reference to the
//! resource. At "type annotations needed", end the body with `Ok::<_, Failure>(..)`.
//!
//! See also: `async_resource`, `exit_stack`, `transaction`.
//!
//! asyncio: contextlib.asynccontextmanager, async with, finally, asyncio.timeout
//! differs: asyncio runs `finally` also when the caller gives up
//! stderr: no such page

use std::error::Error;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{sleep, timeout};

type Failure = Box<dyn Error + Send + Sync>;

/// What failed in a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError<E> {
    /// The body failed, and the resource is closed.
    #[error("{0}")]
    Body(E),
    /// The close failed after the body had succeeded. The body's value is lost.
    #[error("while closing: {0}")]
    Close(E),
    #[error("{body}; while closing: {close}")]
    Both { body: E, close: E },
}

impl<E> ScopeError<E> {
    /// Returns the error that came first, for a caller with an error type of its own.
    pub fn into_first(self) -> E {
        match self {
            Self::Body(error) | Self::Close(error) => error,
            Self::Both { body, .. } => body,
        }
    }
}

/// Lends a resource to the body, and closes it however the body ends.
///
/// Not cancel-safe: dropping the future drops the body, or `close`, at its current await,
/// and does not close the resource. Inside `tokio::spawn` it runs to its end.
///
/// # Errors
///
/// Those of the body and of `close`.
///
/// # Panics
///
/// When the body does, after `close` and with the same payload; an error of `close` is
/// then lost. When `close` does, with its payload; that of the body is then lost.
pub async fn scoped<R, T, E>(
    mut resource: R,
    body: impl AsyncFnOnce(&mut R) -> Result<T, E>,
    close: impl AsyncFnOnce(R) -> Result<(), E>,
) -> Result<T, ScopeError<E>> {
    // In a block, as `body` may panic before it returns a future.
    let body = AssertUnwindSafe(async { body(&mut resource).await });
    let outcome = body.catch_unwind().await;
    let closed = close(resource).await;
    match (outcome, closed) {
        (Ok(Ok(value)), Ok(())) => Ok(value),
        (Ok(Err(body)), Ok(())) => Err(ScopeError::Body(body)),
        (Ok(Ok(_)), Err(close)) => Err(ScopeError::Close(close)),
        (Ok(Err(body)), Err(close)) => Err(ScopeError::Both { body, close }),
        (Err(panic), _) => resume_unwind(panic),
    }
}

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

/// Stops the database, runs the body, and starts the database again.
pub async fn while_stopped<T, E>(
    body: impl AsyncFnOnce() -> Result<T, E>,
) -> Result<T, ScopeError<E>> {
    sleep(Duration::from_millis(100)).await;
    println!("Database stopped");
    scoped(
        (),
        async |()| body().await,
        async |()| {
            sleep(Duration::from_millis(100)).await;
            println!("Database started");
            Ok(())
        },
    )
    .await
}

async fn back_up() -> Result<u32, String> {
    for file in 1..=3 {
        sleep(Duration::from_millis(200)).await;
        println!("File {file} is copied");
    }
    Ok(3)
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
    println!("All goes well:");
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
    if timeout(limit, while_stopped(back_up)).await.is_err() {
        println!("Timed out");
    }

    println!("A timeout, and the scope is a task:");
    let mut task = tokio::spawn(while_stopped(async || {
        let copied = back_up().await?;
        // `?` turns any error into the type of the block's errors, so it has to be told.
        Ok::<_, Failure>(copied)
    }));
    if timeout(limit, &mut task).await.is_err() {
        println!("Timed out");
    }
    // Await the task before the program ends, which would drop it.
    let copied = task.await?.map_err(ScopeError::into_first)?;
    println!("{copied} files are copied");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
