//! One core or several: `join!` stays on one thread, spawned tasks may run on several.
//!
//! Futures in a `join!` are one task, and a task runs on one thread at a time. So two
//! computations in a `join!` run one after the other. Two spawned tasks may run on two
//! threads at the same time, unlike tasks of asyncio: spawn both, then await both. Give
//! long computations to `spawn_blocking`, which has threads for them.
//!
//! Trap: If two tasks wait for each other in a blocking call, as at a
//! `std::sync::Barrier`, both may wait forever, even while another thread is idle. The
//! second task may be in the queue of the thread that the first task blocks, because a
//! thread fetches several tasks at a time. Or the first task has spawned it: no other
//! thread can take the task that a thread has spawned last. Use Tokio's `Barrier`, at
//! which tasks wait without blocking.
//!
//! See also: `sequential_vs_concurrent`, `blocking_vs_async`, `cpu_bound`, `barrier`.
//!
//! asyncio: asyncio.gather, asyncio.create_task, asyncio.to_thread
//! differs: all tasks of asyncio run on one thread, those of Tokio on several

use std::thread;
use std::time::Duration;

use tokio::join;
use tokio::task::{JoinError, spawn_blocking};

/// Simulates a computation that takes 0.2 s and awaits nothing.
fn compute(name: &str) {
    thread::sleep(Duration::from_millis(200));
    println!("{name} is computed");
}

// Two threads for tasks, even on a machine with one core.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), JoinError> {
    println!("In one task:");
    join!(async { compute("A") }, async { compute("B") });

    println!("In two spawned tasks:");
    let first = tokio::spawn(async { compute("one half") });
    let second = tokio::spawn(async { compute("one half") });
    first.await?;
    second.await?;

    println!("On threads for blocking calls:");
    let first = spawn_blocking(|| compute("one half"));
    let second = spawn_blocking(|| compute("one half"));
    first.await?;
    second.await
}

//@ clock: real
