//! Watch a value that changes: the latest one wins, or wait until it fulfils a condition.
//!
//! A `watch` channel keeps one value. A receiver that is slow misses those in between,
//! and always gets the last one; `changed` waits for one that it has not seen, and
//! fails once the sender is gone. `wait_for` is what `Condition.wait_for` is, without a
//! lock to hold or anybody to notify. The trap: what `borrow` returns is the guard of a
//! lock, which the sender needs too. Copy the value out of it before the next await;
//! else `tokio::spawn` refuses: "future cannot be sent between threads safely".
//!
//! asyncio: asyncio.Condition, asyncio.Condition.wait_for, asyncio.Condition.notify_all

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// Draws what is there once it has prepared for it, which takes time.
async fn draw(mut degrees: watch::Receiver<u32>) {
    loop {
        sleep(Duration::from_millis(250)).await;
        // Marks the value as seen, too: `borrow` would have it drawn twice.
        let seen = *degrees.borrow_and_update();
        println!("drawing {seen}");
        if degrees.changed().await.is_err() {
            println!("no more to draw");
            return;
        }
    }
}

async fn warn_at(limit: u32, mut degrees: watch::Receiver<u32>) {
    // The guard that `wait_for` returns is gone at the end of the `map`.
    let reached = degrees.wait_for(|now| *now >= limit).await.map(|now| *now);
    match reached {
        Ok(now) => println!("warning for {limit}: it is {now}"),
        Err(_) => println!("never reached {limit}"),
    }
}

pub async fn run() -> Result<(), JoinError> {
    let (sender, receiver) = watch::channel(20);
    let mut tasks = JoinSet::new();
    tasks.spawn(draw(receiver.clone()));
    tasks.spawn(warn_at(23, receiver.clone()));
    tasks.spawn(warn_at(30, receiver));

    for now in [21, 23, 24, 22] {
        sleep(Duration::from_millis(100)).await;
        // It fails if nobody watches, which does not matter here.
        let _ = sender.send(now);
    }

    sleep(Duration::from_millis(50)).await;
    drop(sender);
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
