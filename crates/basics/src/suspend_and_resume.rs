//! Suspend and resume: where an await pauses a function, and where it does not.
//!
//! An async function runs until an await has to wait for something. Then it is suspended:
//! it keeps its variables and its place, and its thread is free for other work. When the
//! result has arrived, the function continues from there, as in asyncio.
//!
//! Trap: If you await something that never waits, nothing is suspended. In the last part
//! of `main`, loop A runs to its end before loop B starts, although loop A awaits in each
//! turn. To let others run, call `yield_now`.
//!
//! See also: `yield_now`, `cooperative_loops`, `interleaving`.
//!
//! asyncio: await, asyncio.sleep, asyncio.gather

use std::time::Duration;

use tokio::join;
use tokio::time::sleep;

/// Keeps its name during the pause.
async fn simple_coroutine(name: &str, pause: Duration) -> String {
    println!("Coroutine {name} started");
    sleep(pause).await;
    println!("Coroutine {name} resumed");
    format!("{name} is done")
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

#[tokio::main]
async fn main() {
    let [long, short] = [1000, 500].map(Duration::from_millis);
    println!("Before calling coroutine");
    let result = simple_coroutine("A", long).await;
    println!("Result: {result}");
    println!("After coroutine");

    println!("Two coroutines:");
    let (a, b) = join!(simple_coroutine("A", long), simple_coroutine("B", short));
    println!("Results: {a}, {b}");

    println!("Awaits that have nothing to wait for:");
    join!(doubles("A"), doubles("B"));
}
