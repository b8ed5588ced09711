//! One core or several: `join!` stays on one thread, spawned tasks may run on several.
//!
//! Futures in a `join!` are one task, and a task runs on one thread at a time. So two
//! computations in it run one after the other. Unlike tasks of asyncio, two spawned tasks
//! may run on two threads at the same moment: spawn both, then await both. Long
//! computations belong in `spawn_blocking`, which has threads of its own.
//!
//! Trap: heavy work in a `join!` never uses a second core.
//!
//! See also: `sequential_vs_concurrent`, `blocking_vs_async`, `cpu_bound`.
//!
//! asyncio: asyncio.gather, asyncio.create_task, asyncio.to_thread
//! asyncio: threading.current_thread
//! differs: all tasks of asyncio run on one thread, those of Tokio on several

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Barrier};
use std::thread::{self, ThreadId};

use tokio::join;
use tokio::task::spawn_blocking;

/// Counts the primes below the limit, and says which thread did it.
///
/// No computation passes the barrier before all of them have reached it, each on a thread
/// of its own. So the barrier proves how many run at once. It blocks its thread: between
/// tasks use tokio's own `Barrier`.
fn count_primes(limit: u32, together: &Barrier) -> (usize, ThreadId) {
    together.wait();
    let is_prime = |n: &u32| (2..*n).all(|divisor| !n.is_multiple_of(divisor));
    ((2..limit).filter(is_prime).count(), thread::current().id())
}

fn show(results: [(usize, ThreadId); 2]) {
    let [(first, _), (second, _)] = results;
    let threads = HashSet::from(results.map(|(_, thread)| thread));
    println!("{first} and {second} primes, threads: {}", threads.len());
}

pub async fn count_three_ways() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("Side by side in one task:");
    let alone = Barrier::new(1);
    let first = async { count_primes(100, &alone) };
    let second = async { count_primes(1000, &alone) };
    let (first, second) = join!(first, second);
    show([first, second]);

    println!("In two spawned tasks:");
    let both = Arc::new(Barrier::new(2));
    let [first, second] = [100, 1000].map(|limit| {
        let both = Arc::clone(&both);
        tokio::spawn(async move { count_primes(limit, &both) })
    });
    show([first.await?, second.await?]);

    println!("On threads for blocking calls:");
    let [first, second] = [100, 1000].map(|limit| {
        let both = Arc::clone(&both);
        spawn_blocking(move || count_primes(limit, &both))
    });
    show([first.await?, second.await?]);
    Ok(())
}

// Two threads for tasks, also on a machine with one core. On one thread, the first task
// would block at the barrier, and the second could never start.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    count_three_ways().await
}

//@ clock: real
