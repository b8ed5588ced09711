//! Interleaving: how several functions take turns on one event loop, step by step.
//!
//! All three workers begin at once, in the order of the list. From then on whoever's wait
//! is over goes on, so they finish in the order of their delays, while the results come
//! back in the order of the list. A turn lasts from one await to the next and nobody cuts
//! in: what `join_all` runs is one task, that is one unit of work for the runtime, and
//! never on two threads at once. So a total may be changed without a lock between two
//! awaits. The trap is to read it, await, and write it back: the others' work is lost.
//!
//! asyncio: asyncio.gather, await

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::sleep;

/// Works in one turn before its wait and one after it.
async fn worker(name: &str, delay: Duration) -> String {
    println!("{name}: Starting");
    sleep(delay).await;
    println!("{name}: Finished");
    format!("{name} result")
}

/// Adds to the total within one turn. An `AtomicU32` is a number that may be changed
/// through a reference that several functions share; `Relaxed` says that only the number
/// itself has to be right, not the order of other changes. (Spawned tasks, on several
/// threads, would have to use its `fetch_add`.)
async fn add(total: &AtomicU32, amount: u32, delay: Duration) {
    sleep(delay).await;
    total.store(total.load(Ordering::Relaxed) + amount, Ordering::Relaxed);
}

/// Reads the total in one turn and writes it in another.
async fn add_late(total: &AtomicU32, amount: u32, delay: Duration) {
    let seen = total.load(Ordering::Relaxed);
    sleep(delay).await;
    total.store(seen + amount, Ordering::Relaxed);
}

pub async fn run() {
    println!("Main: Starting");
    let workers = [("Worker-1", 1500), ("Worker-2", 500), ("Worker-3", 1000)];
    let results =
        join_all(workers.map(|(name, delay)| worker(name, Duration::from_millis(delay))))
            .await;
    println!("Main: All done");
    println!("Results: {}", results.join(", "));

    let additions = [(1, 100), (10, 200), (100, 300)];

    let total = AtomicU32::new(0);
    join_all(additions.map(|(n, delay)| add(&total, n, Duration::from_millis(delay))))
        .await;
    println!("Read and written in one turn: {}", total.into_inner());

    let total = AtomicU32::new(0);
    join_all(
        additions.map(|(n, delay)| add_late(&total, n, Duration::from_millis(delay))),
    )
    .await;
    println!(
        "Read in one turn, written in another: {}",
        total.into_inner()
    );
}

#[tokio::main]
pub async fn main() {
    run().await;
}
