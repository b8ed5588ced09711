//! Pass errors on with `?`: between error types, out of tasks, and with `map_err`.
//!
//! `?` returns the error to the caller. It converts the error to the error type of the
//! function, with `From`. If there is no such `From`, the compiler reports "`?` couldn't
//! convert the error". The type `Box<dyn Error + Send + Sync>` takes any error, and any
//! text. After the handle of a task write `??`: the first `?` is for a panic, the second
//! for the task's own error.
//!
//! Trap: If you parse two numbers with `?`, the error does not show which number was
//! wrong, because `From` gets only the error of the parser. To name the number, use
//! `map_err`.
//!
//! Trap: If you write `?` after an `Option` in a function that returns a `Result`, the
//! compiler reports that `?` "can only be used on `Result`s, not `Option`s". First turn
//! the `Option` into a `Result` with `ok_or`.
//!
//! In production: `anyhow` can add a text at each level and print a backtrace.
//!
//! See also: `error_context`, `custom_errors`, `try_except`.
//!
//! asyncio: raise, except, asyncio.create_task, asyncio.CancelledError

use std::error::Error;
use std::num::ParseIntError;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::sleep;

/// Why the settings could not be loaded. `?` converts by the `#[from]` variants.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("there is no {0}")]
    Missing(&'static str),
    #[error("something is not a number")]
    NotANumber(#[from] ParseIntError),
    #[error("{0} is not a number")]
    BadValue(&'static str, #[source] ParseIntError),
    #[error("the task has ended by a bug or was cancelled")]
    NotLoaded(#[from] JoinError),
}

async fn text_of(user: &str, key: &str) -> Option<&'static str> {
    sleep(Duration::from_millis(100)).await;
    match (user, key) {
        ("Bob", "retries") => Some("many"),
        ("Cy", "retries") => None,
        ("Dan", "retries") => panic!("a bug"),
        _ => Some("3"),
    }
}

/// Returns a setting that must exist: `ok_or` makes a `Result` of the `Option`.
async fn required(user: &str, key: &'static str) -> Result<&'static str, SettingsError> {
    text_of(user, key).await.ok_or(SettingsError::Missing(key))
}

/// Returns an error that does not show which number is wrong.
async fn vague_sum(user: &str) -> Result<u16, SettingsError> {
    let port: u16 = required(user, "port").await?.parse()?;
    let retries: u16 = required(user, "retries").await?.parse()?;
    Ok(port + retries)
}

/// Returns an error that names the key.
async fn number(user: &str, key: &'static str) -> Result<u16, SettingsError> {
    let text = required(user, key).await?;
    text.parse()
        .map_err(|error| SettingsError::BadValue(key, error))
}

/// Loads a number in a task. The first `?` returns if the task panicked or was cancelled.
async fn in_a_task(user: &'static str) -> Result<u16, SettingsError> {
    let number = tokio::spawn(number(user, "retries")).await??;
    Ok(number)
}

/// Fails with an error of another type, or with a text.
async fn start(user: &str) -> Result<u16, Box<dyn Error + Send + Sync>> {
    let retries = number(user, "retries").await?;
    if user == "Ada" {
        return Err(format!("{retries} retries are too few").into());
    }
    Ok(retries)
}

fn report(user: &str, result: Result<u16, impl std::fmt::Display>) {
    match result {
        Ok(number) => println!("{user}: {number}"),
        Err(error) => println!("{user}: {error}"),
    }
}

#[tokio::main]
async fn main() {
    println!("One conversion for all numbers:");
    for user in ["Ada", "Bob", "Cy"] {
        report(user, vague_sum(user).await);
    }

    println!("An error that names the number:");
    report("Bob", number("Bob", "retries").await);

    println!("Out of tasks:");
    for user in ["Ada", "Bob", "Dan"] {
        report(user, in_a_task(user).await);
    }

    println!("Errors of any type:");
    for user in ["Ada", "Bob"] {
        report(user, start(user).await);
    }
    // Ask for the type of the error in the box.
    let started = start("Cy").await;
    let known = started.as_ref().map_err(|error| error.downcast_ref());
    if let Err(Some(SettingsError::Missing(key))) = known {
        println!("Cy: please set {key}");
    }
}

//@ stderr: a bug
