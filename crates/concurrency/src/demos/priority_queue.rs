//! Urgent jobs first, a full queue, two workers, and a stack.

use std::cmp::Reverse;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::SendError;
use tokio::time::sleep;

use crate::priority_queue::PriorityQueue;

type Jobs = PriorityQueue<u32, &'static str>;

async fn work(jobs: Arc<Jobs>) {
    while let Some((priority, job)) = jobs.get().await {
        println!("{job} (priority {priority})");
        sleep(Duration::from_millis(100)).await;
    }
    println!("No more work");
}

async fn submit(
    jobs: Arc<Jobs>,
    priority: u32,
    job: &'static str,
) -> Result<(), SendError<&'static str>> {
    jobs.put(priority, job).await?;
    println!("Accepted: {job}");
    Ok(())
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("The most urgent first, ties in order of arrival:");
    let jobs = Arc::new(Jobs::unbounded());
    submit(Arc::clone(&jobs), 2, "write the report").await?;
    submit(Arc::clone(&jobs), 3, "tidy up").await?;
    submit(Arc::clone(&jobs), 1, "put the fire out").await?;
    submit(Arc::clone(&jobs), 2, "answer the mail").await?;
    let worker = tokio::spawn(work(Arc::clone(&jobs)));
    sleep(Duration::from_millis(150)).await;
    submit(Arc::clone(&jobs), 1, "call for help").await?;
    jobs.close();
    worker.await?;

    println!(
        "A full queue, where the urgent job waits behind an earlier one for a place:"
    );
    let jobs = Arc::new(Jobs::bounded(2));
    submit(Arc::clone(&jobs), 2, "write the report").await?;
    submit(Arc::clone(&jobs), 3, "tidy up").await?;
    let later = tokio::spawn(submit(Arc::clone(&jobs), 4, "read the news"));
    sleep(Duration::from_millis(50)).await;
    let urgent = tokio::spawn(submit(Arc::clone(&jobs), 1, "put the fire out"));
    sleep(Duration::from_millis(50)).await;
    println!("{} jobs wait inside", jobs.len());
    let worker = tokio::spawn(work(Arc::clone(&jobs)));
    later.await??;
    urgent.await??;
    jobs.close();
    worker.await?;

    println!("Two workers, which both end:");
    let jobs = Arc::new(Jobs::unbounded());
    let first = tokio::spawn(work(Arc::clone(&jobs)));
    sleep(Duration::from_millis(50)).await;
    let second = tokio::spawn(work(Arc::clone(&jobs)));
    submit(Arc::clone(&jobs), 1, "put the fire out").await?;
    sleep(Duration::from_millis(100)).await;
    jobs.close();
    first.await?;
    second.await?;

    println!("The newest first:");
    let stack = PriorityQueue::unbounded();
    for (number, page) in ["home", "news", "sport"].into_iter().enumerate() {
        stack.put(Reverse(number), page).await?;
    }
    while !stack.is_empty() {
        if let Some((_, page)) = stack.get().await {
            println!("back to {page}");
        }
    }
    Ok(())
}
