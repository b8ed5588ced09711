//! An exception group: the errors of several tasks in one, handled by kind (`except*`).
//!
//! Rust has no `ExceptionGroup`: `ErrorGroup` below is a list with at least one error.
//! `run_all` waits for all tasks. The first that fails cancels a token, by which the
//! others are asked to stop, and what they fail with then is kept as well; aborted ones
//! could neither save nor report an error (`task_group` aborts). The trap is what
//! `except*` does by itself: it raises the errors of other kinds again. Here `except`
//! returns them, and who forgets them hears "unused `Result` that must be used". Of a
//! `Box<dyn Error>` the kind is asked by `error.is::<TheError>()`.
//!
//! asyncio: asyncio.TaskGroup, ExceptionGroup, except*, ExceptionGroup.split

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What several tasks failed with, in the order in which they ended. There is at least
/// one error.
#[derive(Debug)]
pub struct ErrorGroup<E>(Vec<E>);

impl<E> ErrorGroup<E> {
    /// Succeeds if there are no errors.
    pub fn check(errors: Vec<E>) -> Result<(), Self> {
        if errors.is_empty() {
            return Ok(());
        }
        Err(Self(errors))
    }

    /// Gives `handle` those of a kind, in their order, if there are any. The errors of
    /// other kinds are returned.
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

/// It has no `source`, for that could only be one of them.
impl<E: fmt::Debug + fmt::Display> std::error::Error for ErrorGroup<E> {}

/// Waits until all tasks have ended. The first that fails or panics cancels `stop`; what
/// the others fail with is collected all the same. As it cancels `stop`, give it a child
/// of the program's token.
///
/// A task that does not look at `stop` is waited for. A `timeout` around this aborts it:
/// when this is dropped before its end, all tasks are aborted. For tasks that return
/// values see `first_error_wins`.
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
    /// What it asked for does not exist.
    #[error("{0}: no such page")]
    NoPage(&'static str),
    /// It could not save what it had.
    #[error("{0}: the disk is full")]
    DiskFull(&'static str),
    /// It panicked.
    #[error("a worker has a bug")]
    Bug(#[from] JoinError),
}

/// A worker: how long its two steps take, in milliseconds, and whether they fail.
#[derive(Clone, Copy)]
struct Worker {
    name: &'static str,
    fetch_millis: u64,
    save_millis: u64,
    no_page: bool,
    disk_full: bool,
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

    /// Fetches and saves. Asked to stop while it fetches, it saves what it has.
    async fn run(self, stop: CancellationToken) -> Result<(), WorkerError> {
        if let Some(fetched) = stop.run_until_cancelled(self.fetch()).await {
            fetched?;
        }
        self.save().await
    }
}

/// Runs them as tasks, which are also asked to stop when the program is.
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

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::future::pending;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::{Instant, sleep, timeout};
    use tokio_util::sync::CancellationToken;

    use super::{ErrorGroup, Worker, WorkerError, run_all};

    const A: Worker = Worker {
        name: "A",
        fetch_millis: 300,
        save_millis: 100,
        no_page: false,
        disk_full: true,
    };
    const B: Worker = Worker {
        name: "B",
        fetch_millis: 100,
        no_page: true,
        ..A
    };

    #[tokio::test(start_paused = true)]
    async fn an_aborted_task_has_no_error_of_its_own() {
        let stop = CancellationToken::new();
        let workers = [A, B].map(|worker| worker.run(stop.clone()));
        let mut tasks = JoinSet::from_iter(workers);
        let first = tasks.join_next().await.expect("there are two");
        assert!(matches!(first, Ok(Err(WorkerError::NoPage("B")))));
        tasks.abort_all();
        let second = tasks.join_next().await.expect("there are two");
        assert!(second.is_err_and(|error| error.is_cancelled()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_stops_the_others_as_an_error_does() {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(A.run(stop.clone()));
        tasks.spawn(async {
            assert_eq!(1, 2, "a bug");
            Ok(())
        });
        let ErrorGroup(errors) = run_all(tasks, &stop).await.expect_err("both fail");
        let [WorkerError::Bug(bug), WorkerError::DiskFull("A")] = &errors[..] else {
            panic!("{errors:?}");
        };
        assert!(bug.is_panic());
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_look_at_the_token_is_waited_for() {
        let long = Duration::from_secs(3600);
        let mut tasks = JoinSet::new();
        tasks.spawn(async { Err(WorkerError::NoPage("B")) });
        tasks.spawn(async move {
            sleep(long).await;
            Err(WorkerError::DiskFull("A"))
        });
        let start = Instant::now();
        let result = run_all(tasks, &CancellationToken::new()).await;
        assert_eq!(start.elapsed(), long);
        assert_eq!(result.expect_err("both fail").0.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_it_aborts_the_tasks() {
        let held = Arc::new(());
        let mut tasks = JoinSet::<Result<(), WorkerError>>::new();
        tasks.spawn({
            let held = Arc::clone(&held);
            async move {
                let _held = held;
                pending().await
            }
        });
        let limit = Duration::from_secs(1);
        let stop = CancellationToken::new();
        assert!(timeout(limit, run_all(tasks, &stop)).await.is_err());
        sleep(limit).await;
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test]
    async fn any_error_is_asked_for_its_kind() {
        type Failure = Box<dyn Error + Send + Sync>;
        let mut tasks = JoinSet::<Result<(), Failure>>::new();
        tasks.spawn(async { Ok("seven".parse::<u32>().map(drop)?) });
        let stop = CancellationToken::new();
        let all = tokio::spawn(async move { run_all(tasks, &stop).await });
        let group = all.await.expect("it is caught").expect_err("no number");
        let mut caught = 0;
        let is_parse_error = |error: &Failure| error.is::<std::num::ParseIntError>();
        let rest = group.except(is_parse_error, |errors| caught = errors.len());
        assert!(rest.is_ok() && caught == 1);
    }

    #[test]
    fn nothing_of_a_kind_is_not_handled() {
        let rest = ErrorGroup(vec![1, 3]).except(|n| n % 2 == 0, |_| unreachable!());
        assert_eq!(rest.expect_err("they are odd").0, [1, 3]);
        assert!(ErrorGroup::<u8>::check(vec![]).is_ok());
    }
}
