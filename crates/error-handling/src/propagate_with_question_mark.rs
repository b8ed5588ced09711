//! Pass errors on with `?`: between error types, out of tasks, and with `map_err`.
//!
//! `?` returns the error to the caller and converts it by `From` ("`?` couldn't convert
//! the error" if there is none). `Box<dyn Error + Send + Sync>` takes any error, and
//! texts. On a task's handle write `??`: did the task end, and what did it return?
//!
//! Trap: `From` knows only the type. If two numbers are parsed, the error cannot tell
//! which was wrong. Use `map_err` where that matters.
//!
//! Trap: `?` on an `Option` ("can only be used on `Result`s, not `Option`s"). Use
//! `ok_or`.
//!
//! In production: `anyhow` adds a text at each level and can print a backtrace.
//!
//! See also: `error_context`, `custom_errors`, `try_except`.
//!
//! asyncio: raise, except, asyncio.create_task, asyncio.CancelledError
//! stderr: a bug

use std::error::Error;
use std::fmt;
use std::num::ParseIntError;
use std::time::Duration;

use futures::future::join_all;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;

/// Why the settings could not be loaded.
#[derive(Debug)]
pub enum SettingsError {
    Missing(&'static str),
    /// A text is not a number.
    NotANumber(ParseIntError),
    /// The text of this key is not a number.
    BadValue(&'static str, ParseIntError),
    /// The task that loads them panicked or was cancelled.
    NotLoaded(JoinError),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "there is no {key}"),
            Self::NotANumber(_) => f.write_str("something is not a number"),
            Self::BadValue(key, _) => write!(f, "{key} is not a number"),
            Self::NotLoaded(error) if error.is_panic() => f.write_str("a task panicked"),
            Self::NotLoaded(_) => f.write_str("a task was cancelled"),
        }
    }
}

impl Error for SettingsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Missing(_) => None,
            Self::NotANumber(error) | Self::BadValue(_, error) => Some(error),
            Self::NotLoaded(error) => Some(error),
        }
    }
}

// What `?` calls; thiserror's `#[from]` writes the same.
impl From<ParseIntError> for SettingsError {
    fn from(error: ParseIntError) -> Self {
        Self::NotANumber(error)
    }
}

impl From<JoinError> for SettingsError {
    fn from(error: JoinError) -> Self {
        Self::NotLoaded(error)
    }
}

/// Any error that may be sent to another thread.
type BoxError = Box<dyn Error + Send + Sync>;

#[derive(Debug)]
struct Settings {
    port: u16,
    retries: u16,
}

async fn text_of(user: &str, key: &'static str) -> Option<&'static str> {
    sleep(Duration::from_millis(100)).await;
    assert!(user != "Eve", "a bug");
    match (user, key) {
        ("Bob", "retries") => Some("many"),
        ("Cy", "retries") => None,
        ("Dan", "port") => Some("1024"),
        (_, "port") => Some("1023"),
        _ => Some("3"),
    }
}

/// Converts an `Option` to a `Result` by `ok_or`.
async fn required(user: &str, key: &'static str) -> Result<&'static str, SettingsError> {
    text_of(user, key).await.ok_or(SettingsError::Missing(key))
}

/// Returns an error that cannot tell which number is wrong.
async fn vague_settings(user: &str) -> Result<Settings, SettingsError> {
    let port = required(user, "port").await?.parse()?;
    let retries = required(user, "retries").await?.parse()?;
    Ok(Settings { port, retries })
}

async fn number(user: &str, key: &'static str) -> Result<u16, SettingsError> {
    let text = required(user, key).await?;
    text.parse()
        .map_err(|error| SettingsError::BadValue(key, error))
}

async fn settings(user: &'static str) -> Result<Settings, SettingsError> {
    let port = number(user, "port").await?;
    let retries = number(user, "retries").await?;
    Ok(Settings { port, retries })
}

/// Loads the settings in a task. The first `?` asks how the task ended.
async fn loaded(
    task: JoinHandle<Result<Settings, SettingsError>>,
) -> Result<Settings, SettingsError> {
    let settings = task.await??;
    Ok(settings)
}

/// Returns errors of several types, and a text.
async fn start(user: &'static str) -> Result<String, BoxError> {
    let Settings { port, retries } = settings(user).await?;
    if port < 1024 {
        return Err(format!("port {port} is reserved").into());
    }
    Ok(format!("started at port {port} with {retries} retries"))
}

fn describe(settings: Result<Settings, SettingsError>) -> String {
    match settings {
        Ok(Settings { port, retries }) => format!("port {port}, {retries} retries"),
        Err(error) => error.to_string(),
    }
}

pub async fn run() -> Result<(), BoxError> {
    println!("One rule for all numbers:");
    let users = ["Ada", "Bob", "Cy"];
    let all = join_all(users.map(vague_settings)).await;
    for (user, settings) in users.iter().zip(all) {
        println!("{user}: {}", describe(settings));
    }

    println!("Each number for itself:");
    println!("Bob: {}", describe(settings("Bob").await));

    println!("Out of tasks:");
    let users = ["Ada", "Bob", "Dan", "Eve"];
    let tasks = users.map(|user| tokio::spawn(settings(user)));
    tasks[2].abort();
    for (user, task) in users.iter().zip(tasks) {
        println!("{user}: {}", describe(loaded(task).await));
    }

    println!("Errors of any type:");
    let users = ["Ada", "Bob", "Cy", "Dan"];
    let tasks = users.map(|user| tokio::spawn(start(user)));
    for (user, task) in users.iter().zip(tasks) {
        let text = match task.await? {
            Ok(text) => text,
            // Of a box the type has to be asked for.
            Err(error) => match error.downcast_ref() {
                Some(SettingsError::Missing(key)) => format!("please set {key}"),
                _ => format!("not started: {error}"),
            },
        };
        println!("{user}: {text}");
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), BoxError> {
    run().await
}
