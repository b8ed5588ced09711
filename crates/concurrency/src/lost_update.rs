//! A race condition between tasks: the lost update, and three ways to mend it.
//!
//! Three tasks read a count, wait, and write back a count that is higher by one. All
//! three have read the same number, so two steps are lost. Rust rules out a data race
//! ("the trait `Send` is not implemented for `Rc<Cell<u32>>`", "cannot assign to data in
//! an `Arc`"). It does not rule out this race: each access is locked, but the wait is
//! between them.
//!
//! Hold Tokio's `Mutex` over the wait, so that the tasks queue up. Or read and write
//! without an await in between, under a `std::sync::Mutex`. Or let one task own the
//! count. A mere count is best an `AtomicU32`, whose `fetch_add` needs no lock.
//!
//! See also: `lock`, `deadlock`, `actor`.
//!
//! asyncio: asyncio.Lock, asyncio.create_task, asyncio.TaskGroup, asyncio.Queue, await

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

const TASKS: u32 = 3;

/// Waits, as each step has to.
async fn work() {
    sleep(Duration::from_millis(100)).await;
}

/// A count that several tasks share, locked for each access.
#[derive(Clone, Default)]
struct Counter(Arc<Mutex<u32>>);

impl Counter {
    fn get(&self) -> u32 {
        // If a holder has panicked, a std lock is poisoned: `lock` returns an error, from
        // which `into_inner` takes the value. Tokio's `Mutex` is never poisoned.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, count: u32) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = count;
    }

    /// Reads and writes while it holds the lock once.
    fn add(&self, amount: u32) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += amount;
    }
}

/// Loses updates: other tasks run between the read and the write.
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
    // An error means that the owner of the count has ended.
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
