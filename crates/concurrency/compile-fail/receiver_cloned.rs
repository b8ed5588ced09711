//~ E0599 no method named `clone` found for struct `tokio::sync::mpsc::Receiver<T>`
//! Two workers read from one receiver.
//!
//! example: many_producers_many_consumers

use tokio::sync::mpsc;

async fn work(mut jobs: mpsc::Receiver<u32>) {
    while let Some(job) = jobs.recv().await {
        println!("job {job}");
    }
}

#[tokio::main]
async fn main() {
    let (sender, jobs) = mpsc::channel(2);
    let first = tokio::spawn(work(jobs.clone()));
    let second = tokio::spawn(work(jobs));
    sender.send(1).await.expect("the workers listen");
    drop(sender);
    first.await.expect("the worker does not fail");
    second.await.expect("the worker does not fail");
}
