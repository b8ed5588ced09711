//! Lock per key: calls for the same key run one after another, all others concurrently.
//!
//! `LockPerKey` below is a map with an async lock for each key in use. Its method `lock`
//! returns a guard, which keeps the key locked until you drop the guard. The entry of a
//! key is removed when the last guard or waiter of that key is dropped, even after an
//! error or a cancellation. In Python, use a `WeakValueDictionary` of `asyncio.Lock`.
//!
//! Bounds: The map has one entry for each key in use. Unbounded: The number of waiting
//! callers.
//!
//! Trap: If you write such a map yourself and remove nothing, it leaks an entry for each
//! key that was ever used. If you remove the entry of a key while a caller waits for its
//! lock, the next caller makes a second lock. Then two calls for the same key run at the
//! same time. Remove the entry only when the last guard or waiter of its key is dropped.
//! Here each guard and each waiter owns a `User`, and the `Drop` of the last `User`
//! removes the entry.
//!
//! See also: `lock`, `single_flight`, `lease`.
//!
//! asyncio: asyncio.Lock, asyncio.Lock.acquire, asyncio.Lock.release

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use tokio::time::sleep;

type Entries<K> = HashMap<K, Arc<AsyncMutex<()>>>;
type Locks<K> = Mutex<Entries<K>>;

fn entries<K>(locks: &Locks<K>) -> MutexGuard<'_, Entries<K>> {
    // Each change of the map is a single call, so a poisoned lock is harmless.
    locks.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lock for each key. Clones share the locks.
#[derive(Clone, Debug)]
pub struct LockPerKey<K> {
    locks: Arc<Locks<K>>,
}

impl<K> Default for LockPerKey<K> {
    fn default() -> Self {
        let locks = Arc::default();
        Self { locks }
    }
}

impl<K: Clone + Eq + Hash> LockPerKey<K> {
    /// Waits until no other guard of this key exists, and returns one. Waiters of a key
    /// are served first come, first served.
    ///
    /// Cancel safety: a dropped waiter loses its place and nothing else.
    pub async fn lock(&self, key: K) -> KeyGuard<K> {
        let lock = Arc::clone(entries(&self.locks).entry(key.clone()).or_default());
        let locks = Arc::clone(&self.locks);
        let user = User { locks, key };
        let _guard = lock.lock_owned().await;
        KeyGuard { _guard, user }
    }

    /// Returns how many keys have a guard or a waiter.
    pub fn keys_in_use(&self) -> usize {
        entries(&self.locks).len()
    }
}

/// Keeps the key locked until it is dropped.
#[derive(Debug)]
#[must_use = "a guard that is dropped immediately locks nothing"]
pub struct KeyGuard<K: Eq + Hash> {
    // Fields are dropped in their order: first the lock is released.
    _guard: OwnedMutexGuard<()>,
    user: User<K>,
}

impl<K: Eq + Hash> KeyGuard<K> {
    /// Returns the key that is locked.
    pub fn key(&self) -> &K {
        &self.user.key
    }
}

/// A guard or a waiter. The last user of a key removes the entry.
#[derive(Debug)]
struct User<K: Eq + Hash> {
    locks: Arc<Locks<K>>,
    key: K,
}

impl<K: Eq + Hash> Drop for User<K> {
    fn drop(&mut self) {
        let mut entries = entries(&self.locks);
        // The map has one reference, and each other user another one.
        if entries
            .get(&self.key)
            .is_some_and(|lock| Arc::strong_count(lock) == 1)
        {
            entries.remove(&self.key);
        }
    }
}

async fn update(account: &str, millis: u64, locks: &LockPerKey<String>) {
    let guard = locks.lock(account.to_owned()).await;
    println!("{}: update begins", guard.key());
    sleep(Duration::from_millis(millis)).await;
    println!("{}: update ends", guard.key());
}

#[tokio::main]
async fn main() {
    let locks = LockPerKey::default();
    tokio::join!(
        update("Ada's account", 100, &locks),
        update("Ada's account", 100, &locks),
        update("Bob's account", 150, &locks),
    );
    println!("Keys in use: {}", locks.keys_in_use());
}
