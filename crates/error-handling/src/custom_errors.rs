//! Define custom error types with thiserror, and print an error with all its causes.
//!
//! A class of exceptions becomes a struct, or an enum with a variant for each kind.
//! Callers match on fields and not on texts. `thiserror` implements the message
//! (`Display`), the cause (`source`, Python's `__cause__`), and with `#[from]` the
//! conversion for `?`.
//!
//! Trap: `{}` prints only the error's own message. Print all the sources in a loop.
//!
//! Trap: a message that includes its source is printed twice in such a report. Name the
//! cause in the message or as the source, not in both.
//!
//! See also: `error_context`, `propagate_with_question_mark`.
//!
//! asyncio: raise, except, asyncio.as_completed, BaseException.__cause__

use std::error::Error;
use std::iter::successors;
use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use thiserror::Error as ThisError;
use tokio::time::sleep;

/// An error of the network.
#[derive(Debug, ThisError)]
pub enum NetworkError {
    #[error("{host} did not answer within {} ms", .limit.as_millis())]
    TimedOut { host: String, limit: Duration },
    #[error("{0} refused the connection")]
    Refused(String),
}

/// An error of an operation.
#[derive(Debug, ThisError)]
pub enum OperationError {
    // A field called `source` is the cause.
    #[error("operation {operation} failed")]
    Network {
        operation: &'static str,
        source: NetworkError,
    },
    #[error("operation {operation} is not allowed")]
    Forbidden { operation: &'static str },
}

impl OperationError {
    /// Returns whether the same operation may succeed later.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Network { source, .. } => {
                matches!(source, NetworkError::TimedOut { .. })
            }
            Self::Forbidden { .. } => false,
        }
    }
}

/// The error of a batch of operations.
#[derive(Debug, ThisError)]
#[error("{} of {total} operations failed", .failed.len())]
pub struct BatchError {
    total: usize,
    /// All errors. A `source` could hold only one.
    failed: Vec<OperationError>,
}

/// Repeats its cause in its message. `#[from]` lets `?` convert a `NetworkError`.
#[derive(Debug, ThisError)]
#[error("no backup: {0}")]
struct BackupError(#[from] NetworkError);

/// Returns the messages of an error and its causes, for a log.
pub fn report(error: &(dyn Error + 'static)) -> String {
    let chain = successors(Some(error), |&error| error.source());
    let messages: Vec<String> = chain.map(ToString::to_string).collect();
    messages.join(" <- ")
}

async fn connect(host: &str) -> Result<(), NetworkError> {
    sleep(Duration::from_millis(100)).await;
    match host {
        "slow.com" => {
            let limit = Duration::from_millis(450);
            sleep(limit).await;
            let host = host.to_owned();
            Err(NetworkError::TimedOut { host, limit })
        }
        "closed.com" => Err(NetworkError::Refused(host.to_owned())),
        _ => Ok(()),
    }
}

async fn perform(operation: &'static str, host: &str) -> Result<String, OperationError> {
    connect(host)
        .await
        .map_err(|source| OperationError::Network { operation, source })?;
    if operation == "op5" {
        return Err(OperationError::Forbidden { operation });
    }
    Ok(format!("{operation} at {host}"))
}

/// Performs all concurrently, and prints each result as soon as it is there.
async fn batch(operations: &[(&'static str, &str)]) -> Result<(), BatchError> {
    let mut running: FuturesUnordered<_> = (1..)
        .zip(operations)
        .map(|(number, (operation, host))| async move {
            sleep(Duration::from_millis(100 * number)).await;
            perform(operation, host).await
        })
        .collect();
    let mut failed = Vec::new();
    while let Some(ended) = running.next().await {
        match ended {
            Ok(done) => println!("SUCCESS: {done}"),
            Err(error) => {
                println!("ERROR: {}", report(&error));
                failed.push(error);
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let total = operations.len();
    Err(BatchError { total, failed })
}

async fn back_up(host: &str) -> Result<(), BackupError> {
    connect(host).await?;
    Ok(())
}

pub async fn run() {
    println!("Each with its cause:");
    let operations = [
        ("op1", "fast.com"),
        ("op2", "slow.com"),
        ("op3", "fast.com"),
        ("op4", "closed.com"),
        ("op5", "fast.com"),
    ];
    if let Err(error) = batch(&operations).await {
        println!("{error}:");
        for error in &error.failed {
            let advice = if error.is_temporary() {
                "try again"
            } else {
                "give up"
            };
            println!("  {error}: {advice}");
        }
    }

    println!("A message that repeats its cause:");
    if let Err(error) = back_up("closed.com").await {
        println!("ERROR: {}", report(&error));
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
