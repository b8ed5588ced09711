//! Downloads of two pages, the second of which fails.

use std::time::Duration;

use thiserror::Error;
use tokio::task::JoinError;
use tokio::time::sleep;
use tokio::try_join;

use crate::first_error_wins::try_all;

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

    println!("Tasks: at the first error the others are aborted and awaited:");
    let downloads = [("A", 300), ("B", 100)];
    report(try_all(downloads.map(|(page, millis)| download(page, millis))).await);
    sleep(rest).await;

    println!("None of them fails:");
    let downloads = [("A", 300), ("C", 100)];
    report(try_all(downloads.map(|(page, millis)| download(page, millis))).await);
}
