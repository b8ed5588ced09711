//! Catch errors as try, except, else and finally do: `match`, `?`, and an async block.
//!
//! Here one kind of error is caught, and the other kinds go to the caller. The arm for
//! `Ok` is `else`. For `finally`, put the body into an async block and the clean-up after
//! the block: `?` and `return` leave only the block. The example `catch_an_error` is the
//! plain form.
//!
//! Trap: If you write `?` outside the async block, it leaves the function before the
//! clean-up. Write all that may fail inside the block.
//!
//! Trap: If a `match` lacks one kind of error, the compiler reports "non-exhaustive
//! patterns". Handle the kinds that you expect, and return the rest.
//!
//! See also: `catch_an_error`, `propagate_with_question_mark`, `drop_guard`,
//! `cleanup_on_cancel`.
//!
//! asyncio: try, except, else, finally, raise, contextlib.suppress

use std::time::Duration;

use thiserror::Error;
use tokio::time::sleep;

#[derive(Debug, Error)]
enum ServiceError {
    #[error("no {0}")]
    NotFound(&'static str),
    #[error("the service is unavailable")]
    Unavailable,
}

async fn name_of(user: u32) -> Result<String, ServiceError> {
    sleep(Duration::from_millis(100)).await;
    match user {
        1 => Ok("Ada".to_string()),
        2 => Ok("Bob".to_string()),
        3 => Err(ServiceError::NotFound("user")),
        _ => Err(ServiceError::Unavailable),
    }
}

/// A connection to a mail server. Closing it takes a while.
struct Connection;

impl Connection {
    fn open() -> Self {
        println!("opened");
        Self
    }

    async fn send(&self, name: &str) -> Result<(), ServiceError> {
        sleep(Duration::from_millis(100)).await;
        if name == "Bob" {
            return Err(ServiceError::NotFound("mailbox"));
        }
        println!("sent to {name}");
        Ok(())
    }

    async fn close(self) {
        sleep(Duration::from_millis(100)).await;
        println!("closed");
    }
}

/// Greets a user. An unknown user is no error.
async fn greet(user: u32) -> Result<(), ServiceError> {
    let connection = Connection::open();
    // try:
    let result = async {
        match name_of(user).await {
            // else:
            Ok(name) => connection.send(&name).await?,
            // except NotFound as error:
            Err(error @ ServiceError::NotFound(_)) => println!("caught: {error}"),
            // Any other error:
            Err(other) => return Err(other),
        }
        Ok(())
    }
    .await;
    // finally:
    connection.close().await;
    result
}

/// Greets a user. After an error, the connection stays open.
async fn greet_carelessly(user: u32) -> Result<(), ServiceError> {
    let connection = Connection::open();
    let name = name_of(user).await?;
    connection.send(&name).await?;
    connection.close().await;
    Ok(())
}

/// Returns the user's name, or "guest" after any error.
async fn name_or_guest(user: u32) -> String {
    name_of(user).await.unwrap_or_else(|_| "guest".to_string())
}

fn report(user: u32, result: Result<(), ServiceError>) {
    match result {
        Ok(()) => println!("User {user}: done"),
        Err(error) => println!("User {user}: {error}"),
    }
}

#[tokio::main]
async fn main() {
    println!("Closed after success and after errors:");
    for user in 1..=4 {
        report(user, greet(user).await);
    }

    println!("Left open after two errors:");
    for user in 2..=3 {
        report(user, greet_carelessly(user).await);
    }

    println!("A default instead of an error:");
    for user in 3..=4 {
        println!("User {user}: {}", name_or_guest(user).await);
    }
}
