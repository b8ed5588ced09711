//! Share a value between tasks behind a lock, as with `asyncio.Lock`; which lock to use.
//!
//! In Rust the lock holds the value: a task reaches the value only through the guard that
//! `lock` returns. When the guard is dropped, the lock is released. Use
//! `tokio::sync::Mutex` if the value stays locked across an await. Waiters get the lock
//! first come, first served.
//!
//! If no task awaits while it holds the lock, use `std::sync::Mutex`. In asyncio, such
//! code needs no lock at all, but tasks of Tokio run on several threads.
//!
//! Trap: If you hold the guard of a `std::sync::Mutex` across an await, the task does not
//! compile: "future cannot be sent between threads safely". Put the guard into a block
//! that ends before the await; a call of `drop` may not be enough. A guard in the head of
//! a `match` lives until the end of the `match`, so call `lock` before the `match` and
//! copy the value. If you hold a reference into a map of the crate `dashmap` across an
//! await, the compiler accepts it, although the reference is a guard, too. Another task
//! that wants the same key then blocks its thread, and when all threads are blocked, the
//! program hangs. Copy the value out of the map first.
//!
//! Trap: If a task is cancelled at an await in the middle of a change, the lock is
//! released. The next task then sees the value half changed. Await first, and then make
//! the whole change without an await.
//!
//! Trap: If a task holds a Tokio guard and awaits a `spawn_blocking`, an abort or a
//! timeout drops the guard, but the thread keeps running. The next task gets the lock
//! while the thread still works. Take the guard by `lock_owned`, and move it into the
//! closure of `spawn_blocking`.
//!
//! See also: `lost_update`, `deadlock` (two locks), `rw_lock`, `lock_per_key`.
//!
//! asyncio: asyncio.Lock, asyncio.Lock.acquire, asyncio.Lock.release

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

async fn increment(name: &str, start: u64, resource: Arc<Mutex<u32>>) {
    sleep(Duration::from_millis(start)).await;
    for _ in 0..3 {
        let mut value = resource.lock().await;
        let current = *value;
        sleep(Duration::from_millis(100)).await;
        *value = current + 1;
        println!("{name}: {value}");
        // The guard is dropped here, at the end of its scope.
    }
}

/// Counts to 100 behind a std Mutex, as it never awaits while it holds the lock.
async fn count(counter: Arc<std::sync::Mutex<u32>>) {
    sleep(Duration::from_millis(100)).await;
    for _ in 0..100 {
        *counter.lock().expect("no holder panics") += 1;
    }
}

struct Accounts {
    ada: u32,
    ben: u32,
}

/// Moves the amount, but awaits after it has changed only one account.
async fn transfer_in_two_steps(amount: u32, accounts: &Mutex<Accounts>) {
    let mut accounts = accounts.lock().await;
    accounts.ada -= amount;
    sleep(Duration::from_millis(200)).await;
    accounts.ben += amount;
}

#[tokio::main]
async fn main() {
    println!("Locked across an await:");
    let shared_resource = Arc::new(Mutex::new(0));
    let mut workers = JoinSet::new();
    workers.spawn(increment("Worker1", 0, Arc::clone(&shared_resource)));
    workers.spawn(increment("Worker2", 50, Arc::clone(&shared_resource)));
    workers.join_all().await;
    println!("Final value: {}", shared_resource.lock().await);

    println!("No await in between:");
    let counter = Arc::new(std::sync::Mutex::new(0));
    let counts: JoinSet<()> = (0..10).map(|_| count(Arc::clone(&counter))).collect();
    counts.join_all().await;
    println!("Final value: {}", counter.lock().expect("no holder panics"));

    println!("A holder that is cancelled half-way:");
    let accounts = Mutex::new(Accounts { ada: 100, ben: 0 });
    let transfer = transfer_in_two_steps(30, &accounts);
    if timeout(Duration::from_millis(100), transfer).await.is_err() {
        let accounts = accounts.lock().await;
        println!("Out of time: Ada {}, Ben {}", accounts.ada, accounts.ben);
    }
}
