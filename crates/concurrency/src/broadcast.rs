//! Broadcast every message to all who listen; a slow receiver lags and is told so.
//!
//! A `broadcast` channel keeps the last messages, as many as its capacity (rounded up
//! to a power of two), for all its receivers. The sender never waits: who is further
//! behind gets `Lagged` with the number of messages missed, and then the oldest one
//! kept. So a loop of `while let Ok(..)` ends at the first lag; match the error. The
//! trap comes first: a message that is sent before anybody has subscribed is refused,
//! and who subscribes later never sees it. Where none may be lost, give each listener
//! an `mpsc` channel.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.put_nowait, asyncio.Queue.get_nowait

use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// How many messages are kept for those who are behind.
const CAPACITY: usize = 2;

/// Prints each message after the time that it takes to read one.
async fn listen(name: &'static str, delay: u64, mut news: broadcast::Receiver<u32>) {
    loop {
        sleep(Duration::from_millis(delay)).await;
        match news.recv().await {
            Ok(number) => println!("{name}: {number}"),
            Err(RecvError::Lagged(missed)) => println!("{name}: missed {missed}"),
            Err(RecvError::Closed) => {
                println!("{name}: the end");
                return;
            }
        }
    }
}

fn send(news: &broadcast::Sender<u32>, number: u32) {
    println!("sending {number}");
    if let Err(error) = news.send(number) {
        println!("{} is lost", error.0);
    }
}

pub async fn run() -> Result<(), JoinError> {
    let sender = broadcast::Sender::new(CAPACITY);

    println!("Nobody listens:");
    send(&sender, 0);

    println!("A fast, a slow and a late one:");
    let mut listeners = JoinSet::new();
    listeners.spawn(listen("fast", 20, sender.subscribe()));
    listeners.spawn(listen("slow", 360, sender.subscribe()));
    for number in 1..=5 {
        sleep(Duration::from_millis(100)).await;
        send(&sender, number);
        if number == 3 {
            listeners.spawn(listen("late", 40, sender.subscribe()));
        }
    }
    drop(sender);
    while let Some(ended) = listeners.join_next().await {
        ended?;
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
