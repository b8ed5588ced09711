//! A read-write lock: many readers at the same time, or one writer. asyncio has none.
//!
//! `tokio::sync::RwLock` is fair: readers that come after a waiting writer wait until the
//! writer is done. In a cache, clone the value out of the lock in a separate statement,
//! and load a missing value while you hold no lock. Another task may have stored a value
//! during the load, so store yours with `entry(key).or_insert(value)`, which keeps the
//! first. If only one task may load at a time, use `single_flight`.
//!
//! To move a guard into a task or into `spawn_blocking`, call `write_owned` on an `Arc`
//! of the lock (for a `Mutex`, `lock_owned`). The plain guard borrows the lock: "borrowed
//! value does not live long enough".
//!
//! Trap: If a task asks for the write lock while it still holds a read guard, it waits
//! for itself forever. In `match cache.read().await.get(key)`, the guard lives until the
//! end of the `match`, so an arm must not call `write`. Clone the value in a statement
//! before the `match`: the guard is dropped at the end of that statement. An `if let`
//! keeps its guard in the `else`, too, but only before edition 2024.
//!
//! Trap: If a task takes a second read guard while it holds one, it may deadlock. A
//! writer that asks in between waits for the first guard, and the second read waits for
//! the writer. Drop the first guard before you read again.
//!
//! See also: `lock`, `once_cell`, `single_flight`.
//!
//! asyncio: asyncio.Condition, asyncio.Condition.wait_for, asyncio.Condition.notify_all

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::join;
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

type Cache = RwLock<HashMap<&'static str, String>>;

/// Loads a value slowly, so that it is worth keeping.
async fn load(caller: &str) -> String {
    sleep(Duration::from_millis(100)).await;
    println!("{caller} has loaded");
    format!("the value of {caller}")
}

/// Waits forever: the `match` holds the read guard while it asks for the write lock.
async fn get_or_wait_for_ever(cache: &Cache, key: &'static str, caller: &str) -> String {
    match cache.read().await.get(key) {
        Some(value) => value.clone(),
        None => {
            let value = load(caller).await;
            cache.write().await.entry(key).or_insert(value).clone()
        }
    }
}

/// Returns the value of the key, and loads it if it is missing.
async fn get(cache: &Cache, key: &'static str, caller: &str) -> String {
    // The guard is dropped at the end of this statement.
    let found = cache.read().await.get(key).cloned();
    if let Some(value) = found {
        return value;
    }
    let value = load(caller).await;
    cache.write().await.entry(key).or_insert(value).clone()
}

async fn reader(name: &'static str, start: u64, lock: Arc<RwLock<u32>>) {
    sleep(Duration::from_millis(start)).await;
    let value = lock.read().await;
    println!("{name} reads {value}");
    sleep(Duration::from_millis(300)).await;
}

async fn writer(start: u64, lock: Arc<RwLock<u32>>) {
    sleep(Duration::from_millis(start)).await;
    println!("the writer waits");
    *lock.write().await += 1;
    println!("the writer has written");
}

#[tokio::main]
async fn main() {
    println!("Two readers, a writer, and a late reader:");
    let lock = Arc::new(RwLock::new(7));
    let mut tasks = JoinSet::new();
    tasks.spawn(reader("A", 0, lock.clone()));
    tasks.spawn(reader("B", 100, lock.clone()));
    tasks.spawn(writer(150, lock.clone()));
    tasks.spawn(reader("C", 200, lock.clone()));
    tasks.join_all().await;

    println!("Asking for the write lock while reading:");
    let cache = Cache::default();
    let waiting = get_or_wait_for_ever(&cache, "key", "A");
    if timeout(Duration::from_millis(500), waiting).await.is_err() {
        println!("still waiting after 0.5 s");
    }

    println!("Asking for the write lock after reading:");
    let later = async {
        sleep(Duration::from_millis(50)).await;
        get(&cache, "key", "B").await
    };
    let (a, b) = join!(get(&cache, "key", "A"), later);
    println!("A got {a}, B got {b}");
}
