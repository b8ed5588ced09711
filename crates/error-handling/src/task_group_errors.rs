//! An exception group: the errors of several tasks in one, handled by kind (`except*`).
//!
//! Rust has no `ExceptionGroup`. `ErrorGroup` below is a list with at least one error.
//! `run_all` waits for all tasks. The first failure cancels a token, which asks the
//! others to stop. Their errors are kept as well; an aborted task could report none.
//!
//! Trap: `except*` raises the errors of other kinds again. Here `except` returns them,
//! and the compiler warns if they are forgotten ("unused `Result` that must be used").
//!
//! Trap: to tell the kind of a `Box<dyn Error>`, call `error.is::<TheError>()`.
//!
//! See also: `first_error_wins`, `collect_all_errors`, `task_group`.
//!
//! asyncio: asyncio.TaskGroup, ExceptionGroup, except*, ExceptionGroup.split
//! try: 127.0.0.1:1 127.0.0.1:1 -> connections refused: 2

use std::fmt;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// The errors of several tasks, in the order in which they ended. There is at least one.
#[derive(Debug)]
pub struct ErrorGroup<E>(pub Vec<E>);

impl<E> ErrorGroup<E> {
    /// Returns the errors as a group, or `Ok` if there are none.
    pub fn check(errors: Vec<E>) -> Result<(), Self> {
        if errors.is_empty() {
            return Ok(());
        }
        Err(Self(errors))
    }

    /// Calls `handle` with the errors of a kind, if there are any. Returns the others.
    pub fn except(
        self,
        is_of_the_kind: impl FnMut(&E) -> bool,
        handle: impl FnOnce(Vec<E>),
    ) -> Result<(), Self> {
        let (caught, rest) = self.0.into_iter().partition::<Vec<E>, _>(is_of_the_kind);
        if !caught.is_empty() {
            handle(caught);
        }
        Self::check(rest)
    }
}

impl<E: fmt::Display> fmt::Display for ErrorGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed", self.0.len())?;
        for (number, error) in self.0.iter().enumerate() {
            write!(f, "{} {error}", if number == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

/// It has no `source`, as that could be only one of them.
impl<E: fmt::Debug + fmt::Display> std::error::Error for ErrorGroup<E> {}

/// Waits until all tasks have ended, and returns all their errors.
///
/// The first error or panic cancels `stop`, so pass a child of the program's token. A
/// task that ignores `stop` is waited for. Dropping the future, as a `timeout` does,
/// aborts all tasks.
pub async fn run_all<E>(
    mut tasks: JoinSet<Result<(), E>>,
    stop: &CancellationToken,
) -> Result<(), ErrorGroup<E>>
where
    E: From<JoinError> + 'static,
{
    let mut errors = Vec::new();
    while let Some(outcome) = tasks.join_next().await {
        if let Err(error) = outcome.unwrap_or_else(|e| Err(e.into())) {
            stop.cancel();
            errors.push(error);
        }
    }
    ErrorGroup::check(errors)
}

/// Connects to all hosts: `cargo run -- localhost:5432 localhost:6379`.
#[tokio::main]
pub async fn main() -> Result<(), ErrorGroup<std::io::Error>> {
    let mut tasks = JoinSet::new();
    for host in std::env::args().skip(1) {
        tasks.spawn(async { tokio::net::TcpStream::connect(host).await.map(drop) });
    }
    let result = run_all(tasks, &CancellationToken::new()).await;
    let is_refused =
        |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    let report = |errors: Vec<_>| println!("connections refused: {}", errors.len());
    // except* ConnectionRefusedError as errors:
    result.or_else(|errors| errors.except(is_refused, report))
}
