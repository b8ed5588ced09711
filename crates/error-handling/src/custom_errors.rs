//! Define custom error types with thiserror, and print an error with all its causes.
//!
//! A class of exceptions becomes a struct, or an enum with a variant for each kind.
//! Callers match on fields and not on texts. `thiserror` implements the message
//! (`Display`) and the cause (`source`, Python's `__cause__`). With `#[from]` it also
//! implements the conversion for `?`.
//!
//! Trap: If you print an error by `{}`, you see only its own message. Print the causes in
//! a loop over `source`.
//!
//! Trap: If a message includes the cause, a loop over the causes prints the cause twice.
//! Put the cause into the message or into `source`, not into both.
//!
//! Trap: If two variants have `#[from]` with the same type, the compiler reports
//! "conflicting implementations of trait `From<ParseIntError>`", because `?` could not
//! choose. Write `#[source]`, and name the variant: `age.parse().map_err(Failure::Age)?`.
//! `tokio::io::Error` and `std::io::Error` are one type.
//!
//! See also: `error_context`, `propagate_with_question_mark`.
//!
//! asyncio: raise, except, BaseException.__cause__

use std::error::Error;
use std::iter::successors;
use std::time::Duration;

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
    #[error("{0} failed")]
    Network(&'static str, #[source] NetworkError),
    #[error("{0} is not allowed")]
    Forbidden(&'static str),
}

impl OperationError {
    /// Returns whether the same operation may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Network(_, NetworkError::TimedOut { .. }))
    }
}

/// Repeats the cause in its message. `#[from]` lets `?` convert a `NetworkError`.
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
    let limit = Duration::from_millis(100);
    sleep(limit).await;
    let host = host.to_owned();
    match host.as_str() {
        "slow.com" => Err(NetworkError::TimedOut { host, limit }),
        "closed.com" => Err(NetworkError::Refused(host)),
        _ => Ok(()),
    }
}

async fn perform(operation: &'static str, host: &str) -> Result<(), OperationError> {
    let connected = connect(host).await;
    connected.map_err(|error| OperationError::Network(operation, error))?;
    match operation {
        "delete" => Err(OperationError::Forbidden(operation)),
        _ => Ok(()),
    }
}

async fn back_up(host: &str) -> Result<(), BackupError> {
    Ok(connect(host).await?)
}

#[tokio::main]
async fn main() {
    println!("Each error with its cause, and what to do:");
    let hosts = ["slow.com", "closed.com", "fast.com"];
    for (operation, host) in ["upload", "upload", "delete"].into_iter().zip(hosts) {
        if let Err(error) = perform(operation, host).await {
            let advice = if error.is_temporary() {
                "retry"
            } else {
                "give up"
            };
            println!("{advice}: {}", report(&error));
        }
    }

    println!("A message that repeats its cause:");
    if let Err(error) = back_up("closed.com").await {
        println!("{}", report(&error));
    }
}
