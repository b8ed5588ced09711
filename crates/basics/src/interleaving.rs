//! Interleaving: how several functions take turns on one event loop, step by step.
//!
//! The example passes a list of three workers to `join_all`. All three start immediately,
//! in the order of the list. Then each worker continues when its wait is over, so they
//! finish in the order of their delays. The results keep the order of the list.
//!
//! `join_all` runs the workers as one task, which is never on two threads at the same
//! time. A turn lasts from one await to the next, and no other worker runs during that
//! turn. So a total to which all workers add needs no lock. Here the total is in a
//! `Cell`, which holds a value that several functions may change.
//!
//! Trap: If a worker reads the total, awaits, and then writes the total back, the
//! additions that others made during the await are lost. Read and write the total in one
//! turn, with no await in between.
//!
//! Trap: If you spawn the workers, they run on several threads, and the compiler refuses
//! the `Cell`: "future cannot be sent between threads safely". Use an atomic and its
//! `fetch_add`.
//!
//! See also: `share_state`, `lost_update`, `spawn_order`.
//!
//! asyncio: asyncio.gather, await

use std::cell::Cell;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::sleep;

/// Works in one turn before its wait and in another one after it.
async fn worker(name: &str, delay: Duration) -> String {
    println!("{name}: Starting");
    sleep(delay).await;
    println!("{name}: Finished");
    format!("{name} result")
}

/// Adds to the total within one turn.
async fn add(total: &Cell<u32>, amount: u32, delay: Duration) {
    sleep(delay).await;
    total.set(total.get() + amount);
}

/// Reads the total in one turn and writes it in another.
async fn add_late(total: &Cell<u32>, amount: u32, delay: Duration) {
    let seen = total.get();
    sleep(delay).await;
    total.set(seen + amount);
}

#[tokio::main]
async fn main() {
    let [ms100, ms200, ms300] = [100, 200, 300].map(Duration::from_millis);

    println!("Main: Starting");
    let workers = [
        ("Worker-1", ms300),
        ("Worker-2", ms100),
        ("Worker-3", ms200),
    ];
    let results = join_all(workers.map(|(name, delay)| worker(name, delay))).await;
    println!("Main: All done");
    println!("Results: {}", results.join(", "));

    let additions = [(1, ms100), (10, ms200), (100, ms300)];
    let total = Cell::new(0);
    join_all(additions.map(|(amount, delay)| add(&total, amount, delay))).await;
    println!("Read and written in one turn: {}", total.get());

    let total = Cell::new(0);
    join_all(additions.map(|(amount, delay)| add_late(&total, amount, delay))).await;
    println!("Read in one turn, written in another: {}", total.get());
}

//@ send: no (the workers share a Cell, which stays on one thread)
