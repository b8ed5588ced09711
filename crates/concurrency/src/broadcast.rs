//! Broadcast every message to all listeners; a slow listener misses the oldest messages.
//!
//! A `tokio::sync::broadcast` channel keeps the last messages for all its receivers: as
//! many as its capacity, rounded up to a power of two. The sender never waits. A receiver
//! that has missed messages first gets the error `Lagged` with the number of missed
//! messages, and then the oldest message that is kept. If no message may be missed, give
//! each listener its own `mpsc` channel.
//!
//! Trap: If you loop with `while let Ok(message) = receiver.recv().await`, the listener
//! stops forever at the first `Lagged`, because that is an error. Match the error, and
//! continue after `Lagged`.
//!
//! Trap: If a listener subscribes late, it gets only the messages sent after its
//! `subscribe`. Subscribe before you start the sender. If there is no receiver at all,
//! `send` returns the message as an error, which the sender may ignore.
//!
//! See also: `watch_a_value` (the latest value), `event_emitter`, `redis_pub_sub`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.put_nowait, asyncio.Queue.get_nowait

use std::time::Duration;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// How many messages are kept for listeners that are behind.
const CAPACITY: usize = 2;

/// Reads each message, which takes `millis`, and prints it.
async fn listen(name: &'static str, millis: u64, mut news: broadcast::Receiver<u32>) {
    loop {
        match news.recv().await {
            Ok(number) => {
                sleep(Duration::from_millis(millis)).await;
                println!("{name}: {number}");
            }
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

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    let sender = broadcast::Sender::new(CAPACITY);

    println!("Nobody listens:");
    send(&sender, 0);

    println!("A fast, a slow and a late listener:");
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
