//! Add context to errors with anyhow: at each level, say what was being done.
//!
//! `.context("...")` adds a line before the error; Python's `add_note` adds a line after
//! it. The caller can still get the original error, with `downcast_ref`.
//!
//! Trap: If you print an error by `{}`, you see only the outermost line. `{:#}` prints
//! all lines in one, for a log. `{:?}` prints each on its own line, as for an error that
//! `main` returns. A backtrace follows only with `RUST_BACKTRACE=1`.
//!
//! Trap: If your error is a `String`, it has no `context` ("its trait bounds were not
//! satisfied"). Convert it first, with `map_err(anyhow::Error::msg)`.
//!
//! Trap: If a function wants a `std::error::Error`, it refuses your `anyhow::Error`: "the
//! trait bound `anyhow::Error: std::error::Error` is not satisfied".
//! `into_boxed_dyn_error()` makes a `Box<dyn Error + Send + Sync>`, as `?` does by
//! itself; the way back is `map_err(anyhow::Error::from_boxed)`.
//!
//! In production: Libraries define their own error types instead, so that callers can
//! distinguish the errors.
//!
//! See also: `backtraces`, `custom_errors`.
//!
//! asyncio: BaseException.add_note, raise, except
//! differs: Rust prints the reason last; Python prints it first, and then the notes

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use thiserror::Error;
use tokio::time::sleep;

#[derive(Debug, Error)]
enum StoreError {
    #[error("no file {0}")]
    NotFound(String),
    #[error("the disk does not answer")]
    Broken,
}

async fn read(path: &str) -> Result<&'static str, StoreError> {
    sleep(Duration::from_millis(100)).await;
    match path {
        "ada.conf" => Ok("1024"),
        "bob.conf" => Ok("1023"),
        "cy.conf" => Err(StoreError::Broken),
        _ => Err(StoreError::NotFound(path.to_owned())),
    }
}

async fn port_of(user: &str) -> Result<u16> {
    let path = format!("{user}.conf");
    // The closure runs only if there is an error.
    let text = read(&path)
        .await
        .with_context(|| format!("cannot read the settings of {user}"))?;
    let port = text.parse().context("the port is not a number")?;
    ensure!(port >= 1024, "port {port} is reserved");
    Ok(port)
}

async fn start(user: &str) -> Result<u16> {
    port_of(user).await.context("cannot start")
}

/// Starts a user without settings at a default port. Returns any other error.
async fn start_or_default(user: &str) -> Result<u16> {
    match start(user).await {
        Err(error) if is_missing(&error) => Ok(8000),
        started => started,
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::NotFound(_)))
}

#[tokio::main]
async fn main() -> Result<()> {
    println!("Each error in one line, and with all lines:");
    for user in ["ada", "bob", "cy"] {
        match start(user).await {
            Ok(port) => println!("{user} starts at port {port}"),
            Err(error) => println!("{error}\n{error:#}\n{error:?}"),
        }
    }

    println!("One of them is handled:");
    println!("dan starts at port {}", start_or_default("dan").await?);

    println!("The next one ends the program:");
    let port = start_or_default("cy").await?;
    println!("Not reached: cy starts at port {port}");
    Ok(())
}

//@ exit: 1 cannot start
