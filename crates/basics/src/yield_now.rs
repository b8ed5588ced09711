//! Step aside for the other tasks: `yield_now`, for asyncio's `sleep(0)`.
//!
//! A loop that has nothing to wait for keeps its turn until it ends. `yield_now().await`
//! ends the turn. The parts of a `join!` or a `join_all` then alternate as here; for
//! spawned tasks no order is promised. That is `asyncio.sleep(0)`, and not what Tokio's
//! `sleep(Duration::ZERO)` is: a timer, and timers know only whole milliseconds. Five
//! hundred of them are not done after 250 ms, where five hundred yields are. So look at a
//! delay that may be zero. For many small portions take
//! `tokio::task::coop::consume_budget` (see `cooperative_loops`), which steps aside only
//! now and then.
//!
//! asyncio: asyncio.sleep(0), asyncio.sleep, asyncio.gather, asyncio.timeout
//! clock: real
//! differs: a sleep of zero only ends the turn in asyncio, in Tokio it waits for a timer

use std::time::Duration;

use futures::future::join_all;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

/// Keeps its turn.
async fn count(name: &str) {
    for number in 1..=3 {
        println!("{name}: {number}");
    }
}

/// Steps aside after each number.
async fn count_politely(name: &str) {
    for number in 1..=3 {
        println!("{name}: {number}");
        yield_now().await;
    }
}

async fn five_hundred_yields() {
    for _ in 0..500 {
        yield_now().await;
    }
}

/// Waits between its turns, and here the delay happens to be zero.
async fn five_hundred_delays(delay: Duration) {
    for _ in 0..500 {
        sleep(delay).await;
    }
}

pub async fn run() {
    println!("Without stepping aside:");
    join_all(["A", "B"].map(count)).await;

    println!("Stepping aside after each number:");
    join_all(["A", "B"].map(count_politely)).await;

    let limit = Duration::from_millis(250);
    println!("Five hundred turns, stepping aside:");
    match timeout(limit, five_hundred_yields()).await {
        Ok(()) => println!("Done"),
        Err(_) => println!("Not done after 250 ms"),
    }

    println!("Five hundred turns with a delay of zero:");
    match timeout(limit, five_hundred_delays(Duration::ZERO)).await {
        Ok(()) => println!("Done"),
        Err(_) => println!("Not done after 250 ms"),
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
