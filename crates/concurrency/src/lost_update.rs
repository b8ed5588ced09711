//! A race condition between tasks: the lost update, and three ways to mend it.
//!
//! Three tasks read a count, wait, and write it back, one higher: all have read the
//! same number, and two steps are lost. Rust rules out a data race ("the trait `Send`
//! is not implemented for `Rc<Cell<u32>>`", "cannot assign to data in an `Arc`"), but
//! not this: each access is locked, and the wait is between them. Hold Tokio's `Mutex`
//! over the wait, which makes the tasks queue; or read and write in one go, under a
//! `std::sync::Mutex`; or let one task own the count. (A mere count is best an
//! `AtomicU32`, whose `fetch_add` needs no lock; a lock serves any value.)
//!
//! asyncio: asyncio.Lock, asyncio.create_task, asyncio.TaskGroup, asyncio.Queue, await

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

const TASKS: u32 = 3;

/// Whatever has to be awaited for each step.
async fn work() {
    sleep(Duration::from_millis(100)).await;
}

/// A count that several tasks share, locked for each access.
#[derive(Clone, Default)]
struct Counter(Arc<Mutex<u32>>);

impl Counter {
    fn get(&self) -> u32 {
        // After a panic of a holder a std lock is poisoned: `lock` gives an error, from
        // which `into_inner` takes the value all the same. Tokio's `Mutex` knows no
        // poison.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, count: u32) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = count;
    }

    /// Reads and writes under one lock, which is free again when this returns.
    fn add(&self, amount: u32) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += amount;
    }
}

/// The mistake: others come in between the read and the write.
async fn increment(counter: Counter) {
    let current = counter.get();
    work().await;
    counter.set(current + 1);
}

async fn increment_locked(counter: Arc<tokio::sync::Mutex<u32>>) {
    let mut count = counter.lock().await;
    let current = *count;
    work().await;
    *count = current + 1;
}

async fn increment_at_once(counter: Counter) {
    work().await;
    counter.add(1);
}

async fn increment_by_message(steps: mpsc::UnboundedSender<u32>) {
    work().await;
    // Nobody reads any more if the owner has ended, and nothing is left to be counted.
    let _ = steps.send(1);
}

pub async fn run() -> Result<(), JoinError> {
    println!("Read, wait, write:");
    let counter = Counter::default();
    let tasks: JoinSet<()> = (0..TASKS).map(|_| increment(counter.clone())).collect();
    tasks.join_all().await;
    println!("{}", counter.get());

    println!("Locked over the wait:");
    let counter = Arc::new(tokio::sync::Mutex::new(0));
    let locked = |_| increment_locked(counter.clone());
    let tasks: JoinSet<()> = (0..TASKS).map(locked).collect();
    tasks.join_all().await;
    println!("{}", counter.lock().await);

    println!("Read and written in one go:");
    let counter = Counter::default();
    let at_once = |_| increment_at_once(counter.clone());
    let tasks: JoinSet<()> = (0..TASKS).map(at_once).collect();
    tasks.join_all().await;
    println!("{}", counter.get());

    println!("One task owns it:");
    let (sender, mut steps) = mpsc::unbounded_channel();
    let owner = tokio::spawn(async move {
        let mut count = 0;
        while let Some(step) = steps.recv().await {
            count += step;
        }
        count
    });
    for _ in 0..TASKS {
        tokio::spawn(increment_by_message(sender.clone()));
    }
    drop(sender);
    println!("{}", owner.await?);
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
