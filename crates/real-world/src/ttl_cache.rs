//! Cache with a time to live (TTL), a capacity (LRU) and one load a key: async memoize.
//!
//! `functools.lru_cache` on an `async def` keeps coroutines, which can be awaited once.
//! Neither asyncio nor Tokio has a cache. Here a load runs in a task, so it must own its
//! data ("borrowed data escapes outside of method"): give it an `Arc`.
//!
//! Bounds: `capacity` entries. unbounded: a load's time; evicted loads, which run on.
//!
//! Trap: in a naive cache all callers that miss start a load. Here one task loads; no
//! caller cancels it.
//!
//! Trap: a load that began before a change stores the old value. `remove` prevents this.
//!
//! In production: `moka` shards its lock, evicts by frequency, and has weights and an
//! expiry for each entry. Its clock cannot be paused in a test.
//!
//! See also: `single_flight`, `request_handler`, `redis_cache`.
//!
//! asyncio: asyncio.shield, asyncio.create_task, asyncio.timeout

use std::hash::{Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashlink::LinkedHashMap;
use tokio::sync::watch;
use tokio::time::Instant;

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError<E> {
    /// The error of the load.
    #[error(transparent)]
    Failed(E),
    /// The load panicked, or its runtime was shut down.
    #[error("the load ended without a result")]
    NoResult,
}

/// Keeps up to `capacity` values, and loads missing ones. Clones share the entries.
///
/// If there are too many, the least recently used is evicted. Callers get clones of `V`:
/// put large values into an `Arc`, and errors that are not `Clone`.
#[derive(Clone, Debug)]
pub struct TtlCache<K, V, E> {
    capacity: usize,
    ttl: Duration,
    entries: Arc<Mutex<Entries<K, V, E>>>,
}

/// Least recently used first. The standard library's hashing is safe from keys that are
/// chosen to collide.
type Entries<K, V, E> = LinkedHashMap<K, Load<V, E>, RandomState>;

/// `None` while the load runs. A value has the moment when it expires, if it ever does.
type Load<V, E> = watch::Receiver<Option<Result<(V, Option<Instant>), E>>>;

impl<K, V, E> TtlCache<K, V, E>
where
    K: Clone + Eq + Hash,
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Returns a cache of at most `capacity` entries. Each expires `ttl` after its load
    /// has ended. With a `ttl` of zero, concurrent callers still share a load.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn new(capacity: usize, ttl: Duration) -> Self {
        assert!(capacity > 0, "a cache needs room for one entry");
        Self {
            capacity,
            ttl,
            entries: Arc::default(),
        }
    }

    /// Returns the value that is kept, or waits for the running load of this key, or runs
    /// `load` in a task and keeps its result.
    ///
    /// Dropping the future does not stop the load. A load that never ends keeps its key
    /// from being loaded: put a `timeout` into it. The load sees neither the task locals
    /// nor the tracing span of the caller. An error goes to all waiting callers and is
    /// not kept.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime, if it starts a load.
    pub async fn get_or_load(
        &self,
        key: K,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, LoadError<E>> {
        let (mut result, started, replaced) = {
            let mut entries = self.lock();
            match entries.to_back(&key) {
                Some(entry) if is_usable(entry) => (entry.clone(), None, None),
                _ => {
                    let (sender, result) = watch::channel(None);
                    let replaced = self.store(&mut entries, key.clone(), result.clone());
                    (result, Some(sender), Some(replaced))
                }
            }
        };
        // Not under the lock: the destructor of a value may use the cache.
        drop(replaced);
        match started {
            Some(sender) => {
                let ttl = self.ttl;
                tokio::spawn(async move {
                    let result = load.await;
                    let result = result.map(|it| (it, Instant::now().checked_add(ttl)));
                    sender.send_replace(Some(result));
                });
            }
            None => drop(load),
        }
        let ended = result.wait_for(Option::is_some).await;
        let ended = ended.ok().and_then(|ended| ended.clone());
        let error = match ended {
            Some(Ok((value, _))) => return Ok(value),
            Some(Err(error)) => LoadError::Failed(error),
            None => LoadError::NoResult,
        };
        let mut entries = self.lock();
        if entries.get(&key).is_some_and(|it| it.same_channel(&result)) {
            entries.remove(&key);
        }
        Err(error)
    }

    /// Returns the value that is kept for this key, which counts as a use.
    pub fn get(&self, key: &K) -> Option<V> {
        let entry = self.lock().to_back(key)?.clone();
        match &*entry.borrow() {
            Some(Ok((value, expires))) if !is_past(*expires) => Some(value.clone()),
            _ => None,
        }
    }

    /// Keeps this value. The result of a running load goes to its callers and is not
    /// kept, as it may be older.
    pub fn insert(&self, key: K, value: V) {
        let expires = Instant::now().checked_add(self.ttl);
        let entry = watch::channel(Some(Ok((value, expires)))).1;
        let replaced = self.store(&mut self.lock(), key, entry);
        drop(replaced);
    }

    /// Removes the value. The result of a running load goes to its callers and is not
    /// kept. Call this after the data has changed.
    pub fn remove(&self, key: &K) {
        let removed = self.lock().remove(key);
        drop(removed);
    }

    /// Returns the entries that the new one replaces and evicts.
    fn store(
        &self,
        entries: &mut Entries<K, V, E>,
        key: K,
        entry: Load<V, E>,
    ) -> [Option<Load<V, E>>; 2] {
        let replaced = entries.insert(key, entry);
        let is_full = entries.len() > self.capacity;
        let evicted = is_full.then(|| entries.pop_front()).flatten();
        [replaced, evicted.map(|(_, entry)| entry)]
    }

    /// A panic, for example in a `hash`, leaves the map whole.
    fn lock(&self) -> MutexGuard<'_, Entries<K, V, E>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns whether there is a value, or will be one.
fn is_usable<V, E>(entry: &Load<V, E>) -> bool {
    // A load that panicked has dropped its sender.
    let is_running = entry.has_changed().is_ok();
    match &*entry.borrow() {
        Some(Ok((_, expires))) => !is_past(*expires),
        Some(Err(_)) => false,
        None => is_running,
    }
}

fn is_past(expires: Option<Instant>) -> bool {
    expires.is_some_and(|expires| expires <= Instant::now())
}

/// Counts the letters of its arguments, each only once: `cargo run -- Ann Ben Ann`.
#[tokio::main]
async fn main() -> Result<(), LoadError<std::convert::Infallible>> {
    let cache = TtlCache::new(100, Duration::from_secs(60));
    for name in std::env::args().skip(1) {
        let counted = name.clone();
        let load = async move {
            println!("counting {counted}");
            Ok(counted.chars().count())
        };
        let letters = cache.get_or_load(name.clone(), load).await?;
        println!("{name} has {letters} letters");
    }
    Ok(())
}

//@ try: Ann Ben Ann -> Ann has 3 letters
