//! Let other tasks run: `yield_now`, for asyncio's `sleep(0)`.
//!
//! A loop that has nothing to wait for keeps its turn until it ends; `yield_now().await`
//! ends the turn. Here two futures in a `join_all` end their turn after each step, so
//! their steps alternate: A1 B1, A2 B2, A3 B3. Do not rely on such an order. A `join!`
//! starts each round with another future (A1 B1, B2 A2, A3 B3), and spawned tasks run in
//! any order. In a loop of many small steps, call `consume_budget` instead, which yields
//! only now and then.
//!
//! Trap: If you write `sleep(Duration::ZERO)` for `asyncio.sleep(0)`, you start a timer,
//! which waits for the next millisecond. Five hundred such sleeps take more than 250 ms;
//! five hundred yields do not. If the delay is zero, call `yield_now`.
//!
//! See also: `cooperative_loops`, `suspend_and_resume`, `timers`.
//!
//! asyncio: asyncio.sleep(0), asyncio.sleep, asyncio.gather, asyncio.timeout
//! differs: a sleep of zero only ends the turn in asyncio; in Tokio it waits for a timer

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

/// Ends its turn after each number.
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

/// Sleeps between its turns. Here the delay happens to be zero.
async fn five_hundred_delays(delay: Duration) {
    for _ in 0..500 {
        sleep(delay).await;
    }
}

#[tokio::main]
async fn main() {
    println!("Without a yield:");
    join_all(["A", "B"].map(count)).await;

    println!("A yield after each number:");
    join_all(["A", "B"].map(count_politely)).await;

    let limit = Duration::from_millis(250);
    println!("Five hundred yields:");
    match timeout(limit, five_hundred_yields()).await {
        Ok(()) => println!("Done"),
        Err(_) => println!("Not done after 250 ms"),
    }

    println!("Five hundred sleeps of zero:");
    match timeout(limit, five_hundred_delays(Duration::ZERO)).await {
        Ok(()) => println!("Done"),
        Err(_) => println!("Not done after 250 ms"),
    }
}

//@ clock: real
