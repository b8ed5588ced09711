//! Meet at a barrier: all tasks wait until the last one has arrived.
//!
//! `tokio::sync::Barrier::new(3)` lets three tasks pass together, again and again. The
//! result of `wait` has `is_leader`, which is true for exactly one of them; asyncio
//! returns a number to each task.
//!
//! Tokio's barrier has no `abort`, with which asyncio breaks a barrier. Instead, share a
//! `CancellationToken` (of `tokio-util`). A failing task cancels the token, and the other
//! tasks wait with `token.run_until_cancelled(barrier.wait())`. This call stops the wait
//! when the token is cancelled. It checks the token first, so no task passes after the
//! failure.
//!
//! If you write a `select!` instead, begin it with `biased;` and the arm of the token.
//! With `biased`, `select!` tries the arms in the order written. Without `biased`, it
//! begins with a random arm. If the token is cancelled just before the last worker comes
//! to the barrier, this worker then passes the barrier in half the runs.
//!
//! Trap: If a task gives up waiting after a timeout, Tokio still counts it, so the
//! barrier opens one task too early. asyncio forgets that task. After a timeout, use a
//! new barrier.
//!
//! See also: `event`, `wait_all`.
//!
//! asyncio: asyncio.Barrier, asyncio.Barrier.wait, asyncio.Barrier.abort
//! asyncio: asyncio.timeout, asyncio.BrokenBarrierError
//! differs: Tokio's barrier still counts a waiter that timed out; asyncio's forgets it

use std::sync::Arc;
use std::time::Duration;

use tokio::join;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Loads and computes. No worker begins a step before all have finished the one before.
async fn work(name: &'static str, delays: [u64; 2], barrier: Arc<Barrier>) {
    for (step, delay) in ["loaded", "computed"].into_iter().zip(delays) {
        sleep(Duration::from_millis(delay)).await;
        println!("{name} has {step}");
        if barrier.wait().await.is_leader() {
            println!("all have {step}");
        }
    }
}

#[tokio::main]
async fn main() {
    let millis = Duration::from_millis;

    println!("Three workers, two steps:");
    let barrier = Arc::new(Barrier::new(3));
    let mut workers = JoinSet::new();
    workers.spawn(work("A", [100, 300], barrier.clone()));
    workers.spawn(work("B", [300, 100], barrier.clone()));
    workers.spawn(work("C", [200, 200], barrier.clone()));
    workers.join_all().await;

    println!("A worker fails, and breaks the barrier:");
    let (barrier, broken) = (Barrier::new(2), CancellationToken::new());
    let wait = async {
        match broken.run_until_cancelled(barrier.wait()).await {
            Some(_) => println!("A passes"),
            None => println!("A stops waiting: the barrier is broken"),
        }
    };
    let fail = async {
        sleep(millis(200)).await;
        println!("B fails");
        broken.cancel();
    };
    join!(wait, fail);

    println!("A worker gives up, and another one comes:");
    let barrier = Barrier::new(2);
    for name in ["A", "B"] {
        match timeout(millis(200), barrier.wait()).await {
            Ok(_) => println!("{name} passes"),
            Err(_) => println!("{name} gives up after 0.2 s"),
        }
    }
}
