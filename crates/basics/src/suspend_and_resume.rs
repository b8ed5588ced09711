//! Suspend and resume: where an await pauses a function, and where it does not.
//!
//! An async function runs until an await has to wait for something. Then it is suspended:
//! it keeps its variables and its place, and its thread is free for other work. When the
//! result has come, the function goes on from there, as in asyncio.
//!
//! Trap: an await on something that never waits suspends nothing. In the last part, loop
//! A runs to its end before loop B starts, although A awaits in each turn. To let others
//! run, call `yield_now`.
//!
//! See also: `yield_now`, `cooperative_loops`, `interleaving`.
//!
//! asyncio: await, asyncio.sleep, asyncio.gather

use std::time::Duration;

use tokio::join;
use tokio::time::sleep;

/// Counts on either side of a pause.
async fn simple_coroutine() -> String {
    let mut lines = 0;
    println!("Coroutine started");
    lines += 1;
    sleep(Duration::from_secs(1)).await;
    println!("Coroutine resumed");
    lines += 1;
    format!("Done after {lines} lines")
}

/// Runs while the other function is suspended.
async fn neighbour() {
    println!("The neighbour starts");
    sleep(Duration::from_millis(500)).await;
    println!("The neighbour ends");
}

/// Is async, but has nothing to wait for.
async fn double(number: u32) -> u32 {
    number * 2
}

async fn doubles(name: &str) {
    for number in 1..=3 {
        println!("{name}: {}", double(number).await);
    }
}

pub async fn run() {
    println!("Before calling coroutine");
    let result = simple_coroutine().await;
    println!("Result: {result}");
    println!("After coroutine");

    println!("With a neighbour:");
    let (result, ()) = join!(simple_coroutine(), neighbour());
    println!("Result: {result}");

    println!("Awaits that have nothing to wait for:");
    join!(doubles("A"), doubles("B"));
}

#[tokio::main]
pub async fn main() {
    run().await;
}
