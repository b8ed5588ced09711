//! Meet at a barrier: all tasks wait until the last one has arrived.
//!
//! `Barrier::new(3)` lets three pass together, again and again; exactly one of them is
//! told `is_leader`, where asyncio gives each a number. There is no `abort` and no
//! `n_waiting`: who fails cancels a token, and the others wait for the barrier or the
//! token, whichever comes first; who waits is counted by hand. The trap: who stops
//! waiting has arrived all the same. Tokio counts arrivals and lets the next ones pass
//! although nobody is there, while asyncio takes them back. So throw the barrier away
//! once somebody has given up.
//!
//! asyncio: asyncio.Barrier, asyncio.Barrier.wait, asyncio.Barrier.abort, asyncio.timeout
//! asyncio: asyncio.BrokenBarrierError, asyncio.Barrier.broken, asyncio.Barrier.parties
//! asyncio: asyncio.Barrier.n_waiting
//! differs: who gave up still counts at Tokio's barrier, and asyncio's takes it back

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Barrier, BarrierWaitResult};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

const WORKERS: usize = 3;

/// A barrier that whoever fails can break.
pub struct BreakableBarrier {
    barrier: Barrier,
    parties: usize,
    waiting: AtomicUsize,
    broken: CancellationToken,
}

/// Counts one who waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl BreakableBarrier {
    /// A barrier for so many; with 0 or 1 nobody waits.
    pub fn new(parties: usize) -> Self {
        Self {
            barrier: Barrier::new(parties),
            parties,
            waiting: AtomicUsize::new(0),
            broken: CancellationToken::new(),
        }
    }

    /// Waits for the others; `None` if the barrier is broken, now or meanwhile. Not
    /// cancel-safe: whoever is dropped here counts as arrived all the same.
    pub async fn wait(&self) -> Option<BarrierWaitResult> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        let all = self.barrier.wait();
        self.broken.run_until_cancelled(all).await
    }

    /// Sends everybody home, now and later.
    pub fn abort(&self) {
        self.broken.cancel();
    }

    /// Whether somebody has broken it.
    pub fn is_broken(&self) -> bool {
        self.broken.is_cancelled()
    }

    /// How many have to meet.
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many are there by now.
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
