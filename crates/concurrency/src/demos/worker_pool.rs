//! Two workers with six jobs, of which one panics, and a pool that is stopped.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};

use crate::worker_pool::{Results, worker_pool};

/// A path, and how many milliseconds its page takes.
type Page = (&'static str, u64);

async fn fetch((path, millis): Page) -> Result<String, String> {
    println!("fetching {path}");
    sleep(Duration::from_millis(millis)).await;
    match path {
        "/0" => panic!("{path} has no host"),
        "/missing" => Err("404".to_string()),
        _ => Ok(format!("the page {path}")),
    }
}

/// Prints each result as it comes.
async fn report_all(results: &mut Results<usize, Result<String, String>>) {
    while let Some((number, result)) = results.next().await {
        match result {
            Ok(Ok(page)) => println!("{number}: {page}"),
            Ok(Err(error)) => println!("{number}: error {error}"),
            Err(panicked) => println!("{number}: {panicked}"),
        }
    }
}

/// Submits the pages, 50 ms apart, and ends when the pool is stopped.
async fn submit_all(jobs: mpsc::Sender<(usize, Page)>, pages: Vec<Page>) {
    for (number, page) in pages.into_iter().enumerate() {
        sleep(Duration::from_millis(50)).await;
        println!("job {number} is ready");
        if let Err(SendError((number, (path, _)))) = jobs.send((number, page)).await {
            println!("too late for {number}: {path}");
            return;
        }
    }
}

pub async fn run() -> Result<(), JoinError> {
    println!("Two workers, six jobs:");
    let (jobs, mut results) = worker_pool(2, 1, fetch);
    let mut pages = vec![("/a", 550), ("/0", 150), ("/b", 200), ("/missing", 250)];
    pages.extend([("/c", 200), ("/d", 200)]);
    // In its own task, as it waits for room while the results are read.
    let submitting = tokio::spawn(submit_all(jobs, pages));
    report_all(&mut results).await;
    submitting.await?;
    println!("no more results");

    println!("Stopped after 0.35 s:");
    let (jobs, mut results) = worker_pool(2, 1, fetch);
    let pages = vec![
        ("/e", 200),
        ("/f", 500),
        ("/g", 400),
        ("/h", 100),
        ("/i", 100),
    ];
    let submitting = tokio::spawn(submit_all(jobs, pages));
    let limit = Duration::from_millis(350);
    if timeout(limit, report_all(&mut results)).await.is_err() {
        results.stop().await;
        report_all(&mut results).await;
    }
    submitting.await?;
    println!("no more results");
    sleep(Duration::from_millis(500)).await;
    println!("0.5 s later");
    Ok(())
}
