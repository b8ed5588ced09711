//! Cache with a time to live (TTL), a capacity (LRU) and one load per key: async memoize.
//!
//! In Python, `functools.lru_cache` on an `async def` keeps coroutines, which can be
//! awaited only once. Neither asyncio nor Tokio has a cache. Here each load runs in a
//! task, so that a caller that leaves does not stop it. A task may not borrow from its
//! caller ("borrowed data escapes outside of method"). So the load must own its data:
//! give it an `Arc`.
//!
//! Bounds: `capacity` values; above that, the least recently used one is removed. An
//! expired value takes one of these places until somebody asks for it. Unbounded: The
//! running loads, one per key, and their time.
//!
//! Trap: If you write a simple cache (look, load, store), a hundred callers that miss the
//! same key start a hundred loads. Share one load, as here: one task loads, all callers
//! wait for it, and no caller that leaves cancels it.
//!
//! Trap: If you change the data while it is being loaded, that load stores the old
//! value afterwards. Call `remove` after each change: then the result of such a load is
//! not kept.
//!
//! In production: The crate `moka` has several locks instead of one, and removes the
//! entries that are used least often. Each entry can have its own size and expiry. A test
//! cannot pause moka's clock. Neither moka nor this cache counts hits, or returns an old
//! value while a new one loads.
//!
//! See also: `single_flight`, `request_handler`, `redis_cache`.
//!
//! asyncio: asyncio.shield, asyncio.create_task, asyncio.timeout

use std::collections::HashMap;
use std::future::Future;
use std::hash::{Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
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

/// Keeps up to `capacity` values, and loads missing ones. Clones share the values.
///
/// If there are too many, the least recently used is evicted, even if another one has
/// expired. Callers get clones of `V`: put large values into an `Arc`, and errors that
/// are not `Clone`.
#[derive(Clone, Debug)]
pub struct TtlCache<K, V, E> {
    capacity: usize,
    ttl: Duration,
    entries: Arc<Mutex<Entries<K, V, E>>>,
}

#[derive(Debug)]
struct Entries<K, V, E> {
    /// Least recently used first. The standard library's hashing is safe from keys that
    /// are chosen to collide.
    values: LinkedHashMap<K, Arc<Value<V>>, RandomState>,
    loads: HashMap<K, Load<V, E>>,
}

#[derive(Debug)]
struct Value<V> {
    value: V,
    /// `None` if it never expires.
    expires: Option<Instant>,
}

/// `None` while the load runs.
type Load<V, E> = watch::Receiver<Option<Result<V, E>>>;

/// What a caller finds that needs a value.
enum Found<V, E> {
    Kept(Arc<Value<V>>),
    Running(Load<V, E>),
    Missing(watch::Sender<Option<Result<V, E>>>, Load<V, E>),
}

impl<K, V, E> TtlCache<K, V, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
    E: Clone + Send + Sync + 'static,
{
    /// Returns a cache of at most `capacity` values. Each expires `ttl` after its load
    /// has ended. With a `ttl` of zero, concurrent callers still share a load.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn new(capacity: usize, ttl: Duration) -> Self {
        assert!(capacity > 0, "a cache needs room for one value");
        let entries = Entries {
            values: LinkedHashMap::default(),
            loads: HashMap::new(),
        };
        Self {
            capacity,
            ttl,
            entries: Arc::new(Mutex::new(entries)),
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
    /// Outside a Tokio runtime, if it starts a load.
    pub async fn get_or_load(
        &self,
        key: K,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, LoadError<E>> {
        let mut result = match self.find(&key) {
            Found::Kept(kept) => return Ok(kept.value.clone()),
            Found::Running(result) => {
                drop(load);
                result
            }
            Found::Missing(sender, result) => {
                let mut running = Running {
                    key,
                    result: result.clone(),
                    entries: Arc::downgrade(&self.entries),
                    capacity: self.capacity,
                    value: None,
                };
                let ttl = self.ttl;
                tokio::spawn(async move {
                    let result = load.await;
                    if let Ok(value) = &result {
                        let (value, expires) = (value.clone(), expires_after(ttl));
                        running.value = Some(Arc::new(Value { value, expires }));
                    }
                    // Before the callers hear of it: a caller that asks again finds the
                    // value, or starts the next load.
                    drop(running);
                    sender.send_replace(Some(result));
                });
                result
            }
        };
        let ended = result.wait_for(Option::is_some).await;
        match ended.ok().and_then(|ended| ended.clone()) {
            Some(result) => result.map_err(LoadError::Failed),
            None => Err(LoadError::NoResult),
        }
    }

    /// Returns the value that is kept for this key, which counts as a use.
    pub fn get(&self, key: &K) -> Option<V> {
        let kept = self.lock().get(key)?;
        (!kept.is_expired()).then(|| kept.value.clone())
    }

    /// Keeps this value. The result of a running load goes to its callers and is not
    /// kept, as it may be older.
    pub fn insert(&self, key: K, value: V) {
        let expires = expires_after(self.ttl);
        let value = Arc::new(Value { value, expires });
        let replaced = {
            let mut entries = self.lock();
            entries.loads.remove(&key);
            entries.store(key, value, self.capacity)
        };
        // Not under the lock: the destructor of a value may use the cache.
        drop(replaced);
    }

    /// Removes the value. The result of a running load goes to its callers and is not
    /// kept. Call this after the data has changed.
    pub fn remove(&self, key: &K) {
        let removed = {
            let mut entries = self.lock();
            entries.loads.remove(key);
            entries.values.remove(key)
        };
        drop(removed);
    }

    /// Removes all values, as [`remove`](Self::remove) does for one key.
    pub fn clear(&self) {
        let removed = {
            let mut entries = self.lock();
            entries.loads.clear();
            std::mem::take(&mut entries.values)
        };
        drop(removed);
    }

    fn find(&self, key: &K) -> Found<V, E> {
        let (kept, found) = {
            let mut entries = self.lock();
            let kept = entries.get(key);
            let found = match &kept {
                Some(kept) if !kept.is_expired() => Found::Kept(Arc::clone(kept)),
                _ => entries.join_load(key),
            };
            (kept, found)
        };
        // As above, if it has expired.
        drop(kept);
        found
    }

    fn lock(&self) -> MutexGuard<'_, Entries<K, V, E>> {
        lock(&self.entries)
    }
}

/// A panic, for example in a `hash`, leaves the maps whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<K: Clone + Eq + Hash, V, E> Entries<K, V, E> {
    /// Returns the value, and removes it if it has expired.
    fn get(&mut self, key: &K) -> Option<Arc<Value<V>>> {
        if self.values.to_back(key)?.is_expired() {
            return self.values.remove(key);
        }
        self.values.get(key).cloned()
    }

    fn join_load(&mut self, key: &K) -> Found<V, E> {
        if let Some(running) = self.loads.get(key) {
            return Found::Running(running.clone());
        }
        let (sender, result) = watch::channel(None);
        self.loads.insert(key.clone(), result.clone());
        Found::Missing(sender, result)
    }
}

impl<K: Eq + Hash, V, E> Entries<K, V, E> {
    /// Returns the values that the new one replaces and evicts.
    fn store(
        &mut self,
        key: K,
        value: Arc<Value<V>>,
        capacity: usize,
    ) -> [Option<Arc<Value<V>>>; 2] {
        let replaced = self.values.insert(key, value);
        let is_full = self.values.len() > capacity;
        let evicted = is_full.then(|| self.values.pop_front()).flatten();
        [replaced, evicted.map(|(_, value)| value)]
    }
}

impl<V> Value<V> {
    fn is_expired(&self) -> bool {
        self.expires
            .is_some_and(|expires| expires <= Instant::now())
    }
}

fn expires_after(ttl: Duration) -> Option<Instant> {
    Instant::now().checked_add(ttl)
}

/// A running load. When it ends, in whatever way, its key is free again.
struct Running<K: Eq + Hash, V, E> {
    key: K,
    result: Load<V, E>,
    /// Weak, so that a load keeps no values in memory.
    entries: Weak<Mutex<Entries<K, V, E>>>,
    capacity: usize,
    value: Option<Arc<Value<V>>>,
}

impl<K: Eq + Hash, V, E> Drop for Running<K, V, E> {
    fn drop(&mut self) {
        let Some(entries) = self.entries.upgrade() else {
            return;
        };
        let replaced = {
            let mut entries = lock(&entries);
            // `insert` and `remove` take a load out, as its value may be old by then.
            let current = entries.loads.get(&self.key);
            if !current.is_some_and(|it| it.same_channel(&self.result)) {
                return;
            }
            let load = entries.loads.remove_entry(&self.key);
            let kept = load.zip(self.value.take());
            kept.map(|((key, _), value)| entries.store(key, value, self.capacity))
        };
        drop(replaced);
    }
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
