//! Partial success: keep what succeeded, and list what failed with its input and error.
//!
//! `gather(return_exceptions=True)` returns a list that mixes results and errors.
//! `try_each` below returns two lists, one of values and one of errors. Each value and
//! each error is paired with its input, in the order of the inputs, so you can retry the
//! failed inputs. `at_least` returns an error if there are too few successes.
//!
//! Bounds: Unbounded: All calls run at the same time. See the example `map_with_limit`.
//!
//! Trap: If you call `flatten()` on the results, each error is dropped silently. Separate
//! the values from the errors, as `try_each` does.
//!
//! Trap: If you put a timeout around all calls, it also loses the successes. Put a
//! timeout into each call, as `main` does.
//!
//! See also: `wait_all`, `retry`, `collect_all_errors`.
//!
//! asyncio: asyncio.gather(return_exceptions=True), asyncio.timeout

use std::future::Future;

use futures::future::join_all;
use thiserror::Error;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

/// The outcomes, in the order of the inputs.
#[derive(Debug)]
pub struct Outcomes<I, T, E> {
    /// The inputs with their values.
    pub succeeded: Vec<(I, T)>,
    /// The inputs with their errors.
    pub failed: Vec<(I, E)>,
}

/// Calls `work` with each input, and runs each future as a task.
///
/// `From<JoinError>` turns a panic into an error. `Box<dyn Error + Send + Sync>` has this
/// conversion, a `String` does not. Dropping the future aborts the tasks.
pub async fn try_each<I, T, E, F>(
    inputs: impl IntoIterator<Item = I>,
    mut work: impl FnMut(I) -> F,
) -> Outcomes<I, T, E>
where
    I: Clone,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<JoinError> + Send + 'static,
{
    let start = |input: I| {
        let task = tokio::spawn(work(input.clone()));
        (input, AbortOnDropHandle::new(task))
    };
    let (inputs, tasks): (Vec<I>, Vec<_>) = inputs.into_iter().map(start).unzip();
    let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
    for (input, outcome) in inputs.into_iter().zip(join_all(tasks).await) {
        match outcome.unwrap_or_else(|panic| Err(panic.into())) {
            Ok(value) => succeeded.push((input, value)),
            Err(error) => failed.push((input, error)),
        }
    }
    Outcomes { succeeded, failed }
}

/// Fewer calls succeeded than were needed.
#[derive(Debug, Error)]
#[error("{} succeeded, {needed} are needed", .outcomes.succeeded.len())]
pub struct TooFew<I, T, E> {
    /// How many successes were needed.
    pub needed: usize,
    /// All outcomes.
    pub outcomes: Outcomes<I, T, E>,
}

impl<I, T, E> Outcomes<I, T, E> {
    /// Returns the outcomes, or an error if fewer than `needed` calls succeeded.
    pub fn at_least(self, needed: usize) -> Result<Self, TooFew<I, T, E>> {
        if self.succeeded.len() < needed {
            let outcomes = self;
            return Err(TooFew { needed, outcomes });
        }
        Ok(self)
    }
}

/// Connects to all hosts, within a second each: `cargo run -- HOST:PORT HOST:PORT`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let outcomes = try_each(std::env::args().skip(1), |host| async {
        let connect = tokio::net::TcpStream::connect(host);
        tokio::time::timeout(std::time::Duration::from_secs(1), connect).await?
    });
    let outcomes: Outcomes<_, _, std::io::Error> = outcomes.await;
    for (host, error) in &outcomes.failed {
        println!("{host}: {error}");
    }
    let reachable = outcomes.at_least(1)?.succeeded;
    println!("hosts that accept connections: {}", reachable.len());
    Ok(())
}

//@ stderr: page 6 has no title
//@ try: 127.0.0.1:1 -> TooFew
