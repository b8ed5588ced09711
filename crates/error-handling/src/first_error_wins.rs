//! Stop at the first error: when it arrives, which tasks go on, and how to stop them.
//!
//! `try_all` below is a `TaskGroup` with values. It aborts its tasks at the first error
//! or panic, and returns when all that they owned was dropped. A `JoinSet` that is
//! dropped aborts its tasks too, but does not wait for them.
//!
//! Trap: `try_join!(a, b)` over two handles waits for both tasks, and then returns
//! `Ok((Ok(..), Err(..)))`: the error is inside an `Ok`. A handle fails only if its task
//! panics. Write `try_join!(async { a.await? }, async { b.await? })`.
//!
//! Trap: tasks that are awaited one by one report an error only when its turn comes, in
//! Python as well.
//!
//! See also: `gather_errors`, `task_group_errors`, `task_group`, `structured_scope`.
//!
//! asyncio: asyncio.TaskGroup, asyncio.gather, asyncio.create_task, await

use std::time::Duration;

use thiserror::Error;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tokio::try_join;

/// Runs each future as a task, and returns their values in the order of the futures.
///
/// When one fails or panics, the others are aborted: each is dropped at its current
/// await. All have ended when this returns. Work in `spawn_blocking` is not stopped.
/// Dropping the future aborts the tasks, but does not wait for them.
///
/// # Errors
///
/// The first error, or the first panic as a `JoinError`. Later ones are lost.
pub async fn try_all<F, T, E>(futures: impl IntoIterator<Item = F>) -> Result<Vec<T>, E>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<JoinError> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for (number, future) in futures.into_iter().enumerate() {
        tasks.spawn(async move { Ok((number, future.await?)) });
    }
    let mut values = Vec::new();
    while let Some(outcome) = tasks.join_next().await {
        match outcome.unwrap_or_else(|panic| Err(panic.into())) {
            Ok(numbered) => values.push(numbered),
            Err(error) => {
                tasks.shutdown().await;
                return Err(error);
            }
        }
    }
    values.sort_unstable_by_key(|(number, _)| *number);
    Ok(values.into_iter().map(|(_, value)| value).collect())
}

/// Why a download failed.
#[derive(Debug, Error)]
pub enum DownloadError {
    #[error("no page {0}")]
    NoPage(&'static str),
    /// The task panicked or was aborted.
    #[error("the task failed")]
    Task(#[from] JoinError),
}

/// A file that is closed when it is dropped, however the download ends.
struct File(&'static str);

impl Drop for File {
    fn drop(&mut self) {
        println!("{} is closed", self.0);
    }
}

/// Fails for page B.
async fn download(page: &'static str, millis: u64) -> Result<String, DownloadError> {
    let _file = File(page);
    sleep(Duration::from_millis(millis)).await;
    if page == "B" {
        println!("{page} fails");
        return Err(DownloadError::NoPage(page));
    }
    println!("{page} is complete");
    Ok(format!("text {page}"))
}

/// Awaits each task when its turn comes.
async fn one_by_one() -> Result<Vec<String>, DownloadError> {
    let a = tokio::spawn(download("A", 300));
    let b = tokio::spawn(download("B", 100));
    Ok(vec![a.await??, b.await??])
}

/// Returns at the first error. Dropping the other handle does not stop its task.
async fn tasks_run_on() -> Result<Vec<String>, DownloadError> {
    let a = tokio::spawn(download("A", 300));
    let b = tokio::spawn(download("B", 100));
    let (a, b) = try_join!(async { a.await? }, async { b.await? })?;
    Ok(vec![a, b])
}

/// Runs both futures in one task, and drops the other at the first error.
async fn futures_are_dropped() -> Result<Vec<String>, DownloadError> {
    let (a, b) = try_join!(download("A", 300), download("B", 100))?;
    Ok(vec![a, b])
}

fn report(result: Result<Vec<String>, DownloadError>) {
    match result {
        Ok(texts) => println!("{}", texts.join(", ")),
        Err(error) => println!("error: {error}"),
    }
}

pub async fn run() {
    let rest = Duration::from_millis(300);

    println!("Tasks, awaited one by one:");
    report(one_by_one().await);

    println!("Tasks, awaited together:");
    report(tasks_run_on().await);
    sleep(rest).await;

    println!("Futures, awaited together:");
    report(futures_are_dropped().await);
    sleep(rest).await;

    println!("Tasks that are stopped, and waited for:");
    let downloads = [("A", 300), ("B", 100)];
    report(try_all(downloads.map(|(page, millis)| download(page, millis))).await);
    sleep(rest).await;

    println!("None of them fails:");
    let downloads = [("A", 300), ("C", 100)];
    report(try_all(downloads.map(|(page, millis)| download(page, millis))).await);
}

#[tokio::main]
pub async fn main() {
    run().await;
}
