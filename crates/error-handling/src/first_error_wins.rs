//! Stop at the first error: when it arrives, who still runs then, and how to stop them.
//!
//! The trap is in both languages: tasks that are awaited one after the other tell of an
//! error only when its turn comes, and those not yet awaited run on. `try_join!` over
//! their handles returns it at once, as `gather` does, but the other tasks run on. Over
//! bare futures it drops the others before it returns, but runs all of them in one task,
//! so on one thread. `try_all` below is a `TaskGroup` with values: it runs tasks, aborts
//! them at the first error or panic, and returns when what they held has been dropped. A
//! `JoinSet` that is dropped aborts its tasks, too, but does not wait. A second error is
//! lost: `task_group_errors`.
//!
//! asyncio: asyncio.TaskGroup, asyncio.gather, asyncio.create_task, await

use std::time::Duration;

use thiserror::Error;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tokio::try_join;

/// Runs all futures at the same time, each as a task of its own. Their values in the
/// order of the futures, or the first error.
///
/// When one fails or panics, the others are aborted: dropped at the await where they are.
/// All have ended when this returns. Work in `spawn_blocking` is not stopped. When this
/// is dropped before its end, the tasks are aborted, but not waited for.
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

/// Why a download has failed.
#[derive(Debug, Error)]
pub enum DownloadError {
    /// The server said so.
    #[error("no page {0}")]
    NoPage(&'static str),
    /// A panic, or somebody aborted the task.
    #[error("the task has failed")]
    Task(#[from] JoinError),
}

/// A file that is written to. However the download ends, it is dropped and closed.
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

/// Waits for each task when its turn comes.
async fn one_by_one() -> Result<Vec<String>, DownloadError> {
    let a = tokio::spawn(download("A", 300));
    let b = tokio::spawn(download("B", 100));
    Ok(vec![a.await??, b.await??])
}

/// Waits for all tasks. Dropping a handle stops nothing.
async fn tasks_run_on() -> Result<Vec<String>, DownloadError> {
    let a = tokio::spawn(download("A", 300));
    let b = tokio::spawn(download("B", 100));
    let (a, b) = try_join!(async { a.await? }, async { b.await? })?;
    Ok(vec![a, b])
}

/// Waits for all futures, in one task.
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
