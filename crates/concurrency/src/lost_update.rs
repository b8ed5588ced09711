//! A race condition between tasks: the lost update, and two ways to fix it.
//!
//! Three tasks read a count, wait, and write back a count that is higher by one. All
//! three have read the same number, so two additions are lost. Rust refuses code in which
//! two threads change a value without a lock ("the trait `Send` is not implemented for
//! `Rc<Cell<u32>>`", "cannot assign to data in an `Arc`"). But Rust accepts a lost
//! update: each read and each write is locked, and the task waits in between.
//!
//! Either hold a `tokio::sync::Mutex` during the wait, so that one task after another
//! does all three steps. Or read and write without an await in between, under a
//! `std::sync::Mutex`. For a mere count, use an `AtomicU32`, whose `fetch_add` needs no
//! lock.
//!
//! See also: `lock`, `deadlock`, `actor` (one task owns the count).
//!
//! asyncio: asyncio.Lock, asyncio.TaskGroup.create_task, asyncio.TaskGroup, await

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

const TASKS: u32 = 3;

/// Waits: the slow part of each step.
async fn work() {
    sleep(Duration::from_millis(100)).await;
}

/// A count that several tasks share, locked for each access.
#[derive(Clone, Default)]
struct Counter(Arc<Mutex<u32>>);

impl Counter {
    fn lock(&self) -> MutexGuard<'_, u32> {
        // If a holder has panicked, a std lock is poisoned: `lock` returns an error, from
        // which `into_inner` takes the guard. Tokio's `Mutex` is never poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Loses updates: other tasks run between the read and the write.
async fn increment(counter: Counter) {
    let current = *counter.lock();
    work().await;
    *counter.lock() = current + 1;
}

async fn increment_locked(counter: Arc<tokio::sync::Mutex<u32>>) {
    let mut count = counter.lock().await;
    let current = *count;
    work().await;
    *count = current + 1;
}

async fn increment_at_once(counter: Counter) {
    work().await;
    *counter.lock() += 1;
}

#[tokio::main]
async fn main() {
    println!("Read, wait, write:");
    let counter = Counter::default();
    let tasks: JoinSet<()> = (0..TASKS).map(|_| increment(counter.clone())).collect();
    tasks.join_all().await;
    println!("{}", counter.lock());

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
    println!("{}", counter.lock());
}
