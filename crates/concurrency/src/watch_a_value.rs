//! Watch a value that changes: get the latest one, or wait until it meets a condition.
//!
//! A `tokio::sync::watch` channel keeps one value, the latest. A slow receiver misses
//! values in between, but always gets the last one. `Receiver::changed` waits for a value
//! that this receiver has not seen, and fails once the sender is dropped.
//! `Receiver::wait_for` is asyncio's `Condition.wait_for` without a lock and without a
//! call to notify. `wait_for` checks only the latest value, so it misses a condition that
//! holds only briefly.
//!
//! The value that the channel starts with counts as seen, and so does the value at the
//! time of a `subscribe`: `changed` waits for the next one. To handle the present value
//! first, read it with `borrow_and_update` before the loop.
//!
//! Trap: If you keep the result of `borrow` across an await, `tokio::spawn` refuses the
//! task: "future cannot be sent between threads safely". `borrow` returns the guard of a
//! lock, and while you hold it the sender cannot store a new value. Copy the value out
//! before the next await.
//!
//! Trap: If a task calls `borrow` twice and keeps both guards, as in two arguments of one
//! `println!`, it can deadlock: between the two, a `send` of another thread may begin to
//! wait for the first guard, and the second `borrow` waits behind that `send`. Keep one
//! guard at a time.
//!
//! Trap: If you clone a receiver in each turn of a loop and call `changed` on the clone,
//! the loop never waits and uses a whole core: a clone has seen what its original has
//! seen, and the original never sees the new value. Clone once, before the loop.
//!
//! See also: `broadcast` (every message), `event`, `condition_queue`.
//!
//! asyncio: asyncio.Condition, asyncio.Condition.wait_for, asyncio.Condition.notify_all

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// Draws the latest value, every 250 ms at most, until the sender is dropped.
async fn draw(mut degrees: watch::Receiver<u32>) {
    loop {
        sleep(Duration::from_millis(250)).await;
        // Marks the value as seen. After `borrow` it would be drawn twice.
        let seen = *degrees.borrow_and_update();
        println!("drawing {seen}");
        if degrees.changed().await.is_err() {
            println!("no more to draw");
            return;
        }
    }
}

/// Warns once, when the value reaches the limit.
async fn warn_at(limit: u32, mut degrees: watch::Receiver<u32>) {
    // The guard that `wait_for` returns is dropped at the end of `map`.
    let reached = degrees.wait_for(|now| *now >= limit).await.map(|now| *now);
    match reached {
        Ok(now) => println!("limit {limit} reached: the value is {now}"),
        Err(_) => println!("never reached {limit}"),
    }
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    let (sender, receiver) = watch::channel(20);
    let mut tasks = JoinSet::new();
    tasks.spawn(draw(receiver.clone()));
    tasks.spawn(warn_at(23, receiver.clone()));
    tasks.spawn(warn_at(30, receiver));

    for now in [21, 23, 24, 22] {
        sleep(Duration::from_millis(100)).await;
        // An error means that nobody watches, which does not matter here.
        let _ = sender.send(now);
    }

    sleep(Duration::from_millis(50)).await;
    drop(sender);
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}
