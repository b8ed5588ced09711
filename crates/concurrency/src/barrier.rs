//! Meet at a barrier: all tasks wait until the last one has arrived.
//!
//! `Barrier::new(3)` lets three tasks pass together, again and again. For exactly one of
//! them `is_leader` is true; asyncio returns a number to each. There is no `abort` and no
//! `n_waiting`. Here a task that fails cancels a token. The others wait for the barrier
//! or the token, whichever comes first, and a counter holds the number of waiters.
//!
//! Trap: a task that stops waiting has arrived all the same. Tokio counts it, and lets
//! the next ones pass without it, while asyncio forgets it. After a timeout, throw the
//! barrier away.
//!
//! See also: `event`, `wait_all`.
//!
//! asyncio: asyncio.Barrier, asyncio.Barrier.wait, asyncio.Barrier.abort
//! asyncio: asyncio.timeout, asyncio.BrokenBarrierError, asyncio.Barrier.broken
//! differs: who gave up still counts at Tokio's barrier, and asyncio's takes it back

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Barrier, BarrierWaitResult};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

const WORKERS: usize = 3;

/// A barrier that a task can break when it fails.
pub struct BreakableBarrier {
    barrier: Barrier,
    parties: usize,
    waiting: AtomicUsize,
    broken: CancellationToken,
}

/// Counts a waiter, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl BreakableBarrier {
    /// Returns a barrier for `parties` tasks. With 0 or 1 no task waits.
    pub fn new(parties: usize) -> Self {
        Self {
            barrier: Barrier::new(parties),
            parties,
            waiting: AtomicUsize::new(0),
            broken: CancellationToken::new(),
        }
    }

    /// Waits until all have arrived. Returns `None` if the barrier is broken before or
    /// during the wait. An `abort` right after the last arrival, as by the leader, may
    /// give some `None`.
    ///
    /// Cancel safety: none. A task that is dropped here counts as arrived.
    pub async fn wait(&self) -> Option<BarrierWaitResult> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        let all = self.barrier.wait();
        self.broken.run_until_cancelled(all).await
    }

    /// Breaks the barrier: `wait` returns `None`, for waiters and for later callers.
    pub fn abort(&self) {
        self.broken.cancel();
    }

    /// Returns whether the barrier is broken.
    pub fn is_broken(&self) -> bool {
        self.broken.is_cancelled()
    }

    /// Returns the number of tasks that have to meet.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// Returns the number of tasks that wait at this moment.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Loads and computes; nobody begins a step before all have ended the one before.
async fn work(name: &'static str, delays: [u64; 2], barrier: Arc<Barrier>) {
    for (step, delay) in ["loaded", "computed"].into_iter().zip(delays) {
        sleep(Duration::from_millis(delay)).await;
        println!("{name} has {step}");
        if barrier.wait().await.is_leader() {
            println!("all have {step}");
        }
    }
}

/// One step, in which B fails: the barrier is broken, and nobody waits for ever.
async fn load(name: &'static str, delay: u64, barrier: Arc<BreakableBarrier>) {
    sleep(Duration::from_millis(delay)).await;
    if name == "B" {
        let (waiting, parties) = (barrier.waiting(), barrier.parties());
        println!("B fails while {waiting} of {parties} wait");
        barrier.abort();
        return;
    }
    match barrier.wait().await {
        Some(_) => println!("{name} goes on"),
        None => {
            // To tell them apart in the transcript.
            sleep(Duration::from_millis(delay)).await;
            println!("{name} goes home");
        }
    }
}

pub async fn run() -> Result<(), JoinError> {
    let millis = Duration::from_millis;

    println!("Two steps:");
    let barrier = Arc::new(Barrier::new(WORKERS));
    let mut workers = JoinSet::new();
    workers.spawn(work("A", [100, 300], barrier.clone()));
    workers.spawn(work("B", [300, 100], barrier.clone()));
    workers.spawn(work("C", [200, 200], barrier.clone()));
    while let Some(ended) = workers.join_next().await {
        ended?;
    }

    println!("One fails:");
    let barrier = Arc::new(BreakableBarrier::new(WORKERS));
    for (name, delay) in [("A", 100), ("B", 300), ("C", 200)] {
        workers.spawn(load(name, delay, barrier.clone()));
    }
    while let Some(ended) = workers.join_next().await {
        ended?;
    }
    if barrier.is_broken() {
        println!("the barrier is broken");
    }

    println!("One gives up:");
    let barrier = Barrier::new(2);
    for name in ["A", "B"] {
        match timeout(millis(200), barrier.wait()).await {
            Ok(_) => println!("{name} passes"),
            Err(_) => println!("{name} gives up after 0.2 s"),
        }
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
