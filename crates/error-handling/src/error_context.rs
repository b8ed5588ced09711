//! Add context to errors with anyhow: what was being done when it failed, at each level.
//!
//! `.context("...")` adds a line in front of the error that passes by, where `add_note`
//! puts it after, and the caller can still ask for the error underneath with
//! `downcast_ref`, as `except` does for one with notes. The trap is the plain `{}`, which
//! prints the outermost line and not the reason: `{:#}` has all lines in one, for a log,
//! and `{:?}` has them below each other, as a program prints them whose `main` returns
//! the error; with `RUST_BACKTRACE=1` a backtrace follows. An error that is a mere
//! `String` has no `context` ("its trait bounds were not satisfied"). In a library, whose
//! callers tell errors apart, define types: see `custom_errors`. color-eyre does more:
//! reports with colours and with the spans of tracing.
//!
//! asyncio: BaseException.add_note, raise, except
//! exit: 1 cannot start

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
    // The text is made only if there is an error to put it to.
    let text = read(&path)
        .await
        .with_context(|| format!("cannot read the settings of {user}"))?;
    let port = text.parse().context("the port is not a number")?;
    // An error without a type of its own.
    ensure!(port >= 1024, "port {port} is reserved");
    Ok(port)
}

async fn start(user: &str) -> Result<u16> {
    port_of(user).await.context("cannot start")
}

/// Who has no settings gets a port all the same; any other error goes on.
async fn start_or_default(user: &str) -> Result<u16> {
    match start(user).await {
        // Found below two lines of context.
        Err(error) if is_missing(&error) => Ok(8000),
        started => started,
    }
}

fn is_missing(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::NotFound(_)))
}

pub async fn run() -> Result<()> {
    println!("The outermost line, all in one line, all below each other:");
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

#[tokio::main]
pub async fn main() -> Result<()> {
    run().await
}
