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

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
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

/// Why a worker failed.
#[derive(Debug, Error)]
pub enum WorkerError {
    #[error("{0}: no such page")]
    NoPage(&'static str),
    #[error("{0}: the disk is full")]
    DiskFull(&'static str),
    /// The task panicked.
    #[error("a worker has a bug")]
    Bug(#[from] JoinError),
}

/// A worker: how long its two steps take, in milliseconds, and whether they fail.
#[derive(Clone, Copy)]
pub struct Worker {
    pub name: &'static str,
    pub fetch_millis: u64,
    pub save_millis: u64,
    pub no_page: bool,
    pub disk_full: bool,
}

impl Worker {
    async fn fetch(self) -> Result<(), WorkerError> {
        sleep(Duration::from_millis(self.fetch_millis)).await;
        if self.no_page {
            return Err(WorkerError::NoPage(self.name));
        }
        Ok(())
    }

    async fn save(self) -> Result<(), WorkerError> {
        sleep(Duration::from_millis(self.save_millis)).await;
        if self.disk_full {
            return Err(WorkerError::DiskFull(self.name));
        }
        println!("{} has saved", self.name);
        Ok(())
    }

    /// Fetches and saves. If it is asked to stop while it fetches, it saves at once.
    pub(crate) async fn run(self, stop: CancellationToken) -> Result<(), WorkerError> {
        if let Some(fetched) = stop.run_until_cancelled(self.fetch()).await {
            fetched?;
        }
        self.save().await
    }
}

/// Runs the workers as tasks, which also stop when the program does.
async fn run_workers(
    workers: &[Worker],
    program: &CancellationToken,
) -> Result<(), ErrorGroup<WorkerError>> {
    let stop = program.child_token();
    let tasks = workers.iter().map(|worker| worker.run(stop.clone()));
    run_all(tasks.collect(), &stop).await
}

fn report(result: Result<(), ErrorGroup<WorkerError>>) {
    match result {
        Ok(()) => println!("nothing is left to handle"),
        Err(errors) => println!("{errors}"),
    }
}

fn is_disk_full(error: &WorkerError) -> bool {
    matches!(error, WorkerError::DiskFull(_))
}

fn is_no_page(error: &WorkerError) -> bool {
    matches!(error, WorkerError::NoPage(_))
}

fn save_elsewhere(errors: Vec<WorkerError>) {
    println!("{} to be saved elsewhere", errors.len());
}

pub async fn run() {
    let program = CancellationToken::new();
    let worker = |name, fetch_millis, save_millis| Worker {
        name,
        fetch_millis,
        save_millis,
        no_page: name == "B",
        disk_full: name == "C",
    };
    let (a, b, c) = (
        worker("A", 300, 100),
        worker("B", 100, 100),
        worker("C", 400, 200),
    );

    println!("A worker fails, and the other is stopped, and saves:");
    report(run_workers(&[a, b], &program).await);

    println!("Others fail as they stop:");
    let a = Worker {
        disk_full: true,
        ..a
    };
    report(run_workers(&[a, b, c], &program).await);

    println!("One kind is handled, the rest is passed on:");
    let result = run_workers(&[a, b, c], &program).await;
    // except* DiskFull as errors:
    report(result.or_else(|errors| errors.except(is_disk_full, save_elsewhere)));

    println!("Both kinds are handled:");
    let result = run_workers(&[a, b, c], &program).await;
    let result = result.or_else(|errors| errors.except(is_disk_full, save_elsewhere));
    let go_without = |errors: Vec<_>| println!("{} to go without", errors.len());
    report(result.or_else(|errors| errors.except(is_no_page, go_without)));
}

#[tokio::main]
pub async fn main() {
    run().await;
}
