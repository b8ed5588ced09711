//! A page of several parts, a download, and uploads that are cut short.

use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{sleep, timeout};

use crate::deadlines::{Deadline, DeadlineExceeded};

async fn fetch(part: &str, millis: u64) {
    sleep(Duration::from_millis(millis)).await;
    println!("{part}");
}

/// From the cache, which is given 0.1 s, or else from the database.
async fn orders(deadline: &Deadline) -> Result<(), DeadlineExceeded> {
    let cache = deadline.at_most(Duration::from_millis(100));
    match cache.run(fetch("orders from the cache", 300)).await {
        Ok(()) => Ok(()),
        Err(DeadlineExceeded) => deadline.run(fetch("orders", 200)).await,
    }
}

/// A page, with reviews if there is time.
async fn page(deadline: &Deadline) -> Result<(), DeadlineExceeded> {
    deadline.run(fetch("user", 200)).await?;
    orders(deadline).await?;
    if deadline.remaining() >= Duration::from_millis(400) {
        deadline.run(fetch("reviews", 200)).await?;
    } else {
        println!("no time for reviews");
    }
    Ok(())
}

/// Ends when there is no chunk for 0.3 s.
async fn download() -> Result<(), DeadlineExceeded> {
    let limit = Duration::from_millis(300);
    let deadline = Deadline::after(limit);
    let chunks = async {
        for (number, millis) in (1..).zip([200, 200, 500]) {
            fetch(&format!("chunk {number}"), millis).await;
            deadline.reschedule(limit);
        }
    };
    deadline.run(chunks).await
}

fn report(outcome: Result<(), DeadlineExceeded>) {
    match outcome {
        Ok(()) => println!("in time"),
        Err(error) => println!("error: {error}"),
    }
}

pub async fn run() -> Result<(), JoinError> {
    println!("0.25 s for each of three calls:");
    let calls = async {
        for part in ["user", "orders", "reviews"] {
            let limit = Duration::from_millis(250);
            let call = timeout(limit, fetch(part, 200)).await;
            call.map_err(|_| DeadlineExceeded)?;
        }
        Ok(())
    };
    report(calls.await);

    for millis in [1000, 800, 400] {
        println!("{millis} ms for all of them:");
        let deadline = Deadline::after(Duration::from_millis(millis));
        report(page(&deadline).await);
    }

    println!("Moved by each chunk:");
    report(download().await);

    println!("Moved by another task:");
    let deadline = Deadline::after(Duration::from_secs(1));
    let calls = [("upload", 150), ("upload of everything", 800)].map(|(name, millis)| {
        let deadline = deadline.clone();
        tokio::spawn(async move { deadline.run(fetch(name, millis)).await })
    });
    sleep(Duration::from_millis(100)).await;
    println!("closing in 0.1 s");
    deadline.reschedule(Duration::from_millis(100));
    for call in calls {
        report(call.await?);
    }
    Ok(())
}
