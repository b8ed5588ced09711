//! Cache with a time to live (TTL), a capacity (LRU) and one load a key: async memoize.
//!
//! `functools.lru_cache` on an `async def` keeps coroutines, which can be awaited once.
//! Neither asyncio nor Tokio has a cache. Here a load runs in a task, so it owns what it
//! uses ("borrowed data escapes outside of method"): give it an `Arc`.
//!
//! Bounds: `capacity` and `ttl`. No bound: running loads, and the time of each.
//!
//! Trap: in a naive cache all callers that miss start a load. Here one task loads; no
//! caller cancels it.
//!
//! Trap: a load that began before a change puts the old value back. `remove` prevents it.
//!
//! In production: `moka` shards its lock, evicts by frequency, and has weights and an
//! expiry for each entry. Its clock cannot be paused in a test.
//!
//! asyncio: asyncio.shield, asyncio.create_task, loop.call_later, asyncio.timeout
//! try: Ann Ben Ann -> Ann has 3 letters

use std::collections::HashMap;
use std::hash::{Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hashlink::LinkedHashMap;
use tokio::sync::{broadcast, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

/// The longest time to live, so that an `Instant` can hold the end.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

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

/// Keeps a number of values for a time, and loads missing ones. Clones share the entries.
///
/// While there are entries, a task drops expired ones. If there are too many, the least
/// recently used is evicted. Callers get clones of `V`: put large values into an `Arc`,
/// and errors that are not `Clone`. Running loads do not count to the capacity. Each call
/// holds one lock, for a time that does not grow with the entries.
pub struct TtlCache<K, V, E> {
    shared: Arc<Shared<K, V, E>>,
}

struct Shared<K, V, E> {
    capacity: usize,
    ttl: Duration,
    state: Mutex<State<K, V, E>>,
    /// Its receivers learn when the cache is dropped.
    alive: watch::Sender<()>,
}

struct State<K, V, E> {
    /// Least recently used first. The standard library's hashing is safe from keys that
    /// are chosen to collide.
    entries: LinkedHashMap<K, Entry<V>, RandomState>,
    /// The keys by the number of their entry, first to expire first. That is the order of
    /// storing, as all have the same time to live.
    by_expiry: LinkedHashMap<u64, K>,
    loads: HashMap<K, Load<V, E>>,
    /// The task that drops what expires, if there is one.
    sweeper: Option<u64>,
    last_number: u64,
}

struct Entry<V> {
    value: V,
    number: u64,
    expires: Instant,
}

/// A load in progress, and a receiver of its result for others to copy.
struct Load<V, E> {
    number: u64,
    result: broadcast::Receiver<Result<V, E>>,
}

impl<K, V, E> TtlCache<K, V, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
    E: Clone + Send + 'static,
{
    /// Returns a cache of at most `capacity` entries. Each expires `ttl` after its load
    /// has ended. With a `ttl` of zero nothing is kept, but concurrent callers share a
    /// load.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn new(capacity: usize, ttl: Duration) -> Self {
        assert!(capacity > 0, "a cache needs room for one entry");
        let state = State {
            entries: LinkedHashMap::default(),
            by_expiry: LinkedHashMap::new(),
            loads: HashMap::new(),
            sweeper: None,
            last_number: 0,
        };
        let shared = Shared {
            capacity,
            ttl: ttl.min(CENTURY),
            state: Mutex::new(state),
            alive: watch::channel(()).0,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Returns the value that is kept, or waits for the running load of this key, or runs
    /// `load` in a task and keeps its result.
    ///
    /// Dropping the future does not stop the load. A load that never ends keeps its key
    /// from being loaded: put a `timeout` into it. It sees neither the task locals nor
    /// the tracing span of the caller. An error goes to all waiting callers and is not
    /// kept.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime, if it starts a load.
    pub async fn get_or_load(
        &self,
        key: K,
        load: impl Future<Output = Result<V, E>> + Send + 'static,
    ) -> Result<V, LoadError<E>> {
        let (mut result, flight) = {
            let mut state = self.shared.lock();
            if let Some(value) = state.get(&key) {
                return Ok(value);
            }
            if let Some(running) = state.loads.get(&key) {
                (running.result.resubscribe(), None)
            } else {
                let (sender, result) = broadcast::channel(1);
                let number = state.next_number();
                let own = result.resubscribe();
                state.loads.insert(key.clone(), Load { number, result });
                let flight = Flight {
                    shared: Arc::downgrade(&self.shared),
                    key,
                    number,
                    sender,
                };
                (own, Some(flight))
            }
        };
        // Not under the lock: a destructor may take it.
        match flight {
            Some(flight) => {
                tokio::spawn(async move { flight.land(load.await) });
            }
            None => drop(load),
        }
        match result.recv().await {
            Ok(result) => result.map_err(LoadError::Failed),
            Err(_) => Err(LoadError::NoResult),
        }
    }

    /// Returns the value that is kept for this key, which counts as a use.
    pub fn get(&self, key: &K) -> Option<V> {
        self.shared.lock().get(key)
    }

    /// Keeps this value. The result of a running load goes to its callers and is not
    /// kept, as it may be older.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime, unless the time to live is zero.
    pub fn insert(&self, key: K, value: V) {
        self.shared.store(key, value, None);
    }

    /// Removes the value and returns it. The result of a running load goes to its callers
    /// and is not kept. Call this after the data has changed.
    pub fn remove(&self, key: &K) -> Option<V> {
        let mut state = self.shared.lock();
        let load = state.loads.remove(key);
        let entry = state.remove(key);
        drop(state);
        drop(load);
        let fresh = |entry: &Entry<V>| Instant::now() < entry.expires;
        entry.filter(fresh).map(|entry| entry.value)
    }

    /// Returns how many entries are in memory.
    pub fn len(&self) -> usize {
        self.shared.lock().entries.len()
    }
}

impl<K, V, E> Clone for TtlCache<K, V, E> {
    fn clone(&self) -> Self {
        let shared = Arc::clone(&self.shared);
        Self { shared }
    }
}

impl<K, V, E> Shared<K, V, E> {
    /// A panic, for example in a `clone`, leaves the state whole.
    fn lock(&self) -> MutexGuard<'_, State<K, V, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V, E> Shared<K, V, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
    E: Clone + Send + 'static,
{
    /// Stores the value. The value of a load is stored only if no other has replaced it.
    fn store(self: &Arc<Self>, key: K, value: V, load: Option<u64>) {
        let mut gone = Vec::new();
        let mut sweeper = None;
        {
            let mut state = self.lock();
            if load.is_some() && load != state.load_number(&key) {
                return;
            }
            state.loads.remove(&key);
            gone.extend(state.remove(&key));
            let now = Instant::now();
            // Two for each that comes: then it never takes long, and none stays for ever.
            gone.append(&mut state.take_expired(now, 2));
            if !self.ttl.is_zero() {
                if state.entries.len() >= self.capacity {
                    gone.extend(state.take_least_recent());
                }
                state.insert(key, value, now + self.ttl);
                if state.sweeper.is_none() {
                    let number = state.next_number();
                    state.sweeper = Some(number);
                    let shared = Arc::downgrade(self);
                    sweeper = Some(Sweeper { shared, number });
                }
            }
        }
        if let Some(sweeper) = sweeper {
            tokio::spawn(sweeper.run(self.alive.subscribe()));
        }
        // Not under the lock: the destructor of a value may use the cache.
        drop(gone);
    }
}

impl<K: Clone + Eq + Hash, V, E> State<K, V, E> {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn load_number(&self, key: &K) -> Option<u64> {
        self.loads.get(key).map(|load| load.number)
    }

    fn get(&mut self, key: &K) -> Option<V>
    where
        V: Clone,
    {
        let entry = self.entries.to_back(key)?;
        (Instant::now() < entry.expires).then(|| entry.value.clone())
    }

    fn insert(&mut self, key: K, value: V, expires: Instant) {
        let number = self.next_number();
        let entry = Entry {
            value,
            number,
            expires,
        };
        // First, as a key in `by_expiry` needs its entry, even if `hash` panics.
        self.entries.insert(key.clone(), entry);
        self.by_expiry.insert(number, key);
    }

    fn remove(&mut self, key: &K) -> Option<Entry<V>> {
        let entry = self.entries.remove(key)?;
        self.by_expiry.remove(&entry.number);
        Some(entry)
    }

    fn next_expiry(&self) -> Option<Instant> {
        let (_, key) = self.by_expiry.front()?;
        Some(self.entries.get(key)?.expires)
    }

    fn take_expired(&mut self, now: Instant, max: usize) -> Vec<Entry<V>> {
        let mut gone = Vec::new();
        while gone.len() < max
            && self.next_expiry().is_some_and(|expiry| expiry <= now)
            && let Some((_, key)) = self.by_expiry.pop_front()
        {
            gone.extend(self.entries.remove(&key));
        }
        gone
    }

    fn take_least_recent(&mut self) -> Option<Entry<V>> {
        let (_, entry) = self.entries.pop_front()?;
        self.by_expiry.remove(&entry.number);
        Some(entry)
    }
}

/// The load of a key. It frees the key before it sends the result, so that a caller that
/// gets an error can start a new load. Dropped without a result, it frees the key too.
struct Flight<K: Clone + Eq + Hash, V, E> {
    /// Weak, so that a load does not keep a dropped cache in memory.
    shared: Weak<Shared<K, V, E>>,
    key: K,
    number: u64,
    sender: broadcast::Sender<Result<V, E>>,
}

impl<K, V, E> Flight<K, V, E>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
    E: Clone + Send + 'static,
{
    fn land(self, result: Result<V, E>) {
        if let Ok(value) = &result
            && let Some(shared) = self.shared.upgrade()
        {
            let (key, value) = (self.key.clone(), value.clone());
            shared.store(key, value, Some(self.number));
        }
        let sender = self.sender.clone();
        // Its key is free from here on.
        drop(self);
        // It fails if all callers have gone.
        let _ = sender.send(result);
    }
}

impl<K: Clone + Eq + Hash, V, E> Drop for Flight<K, V, E> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            let mut state = shared.lock();
            if state.load_number(&self.key) == Some(self.number) {
                state.loads.remove(&self.key);
            }
        }
    }
}

/// Drops what expires, until there are no entries or no cache.
struct Sweeper<K, V, E> {
    shared: Weak<Shared<K, V, E>>,
    number: u64,
}

impl<K: Clone + Eq + Hash, V, E> Sweeper<K, V, E> {
    async fn run(self, mut alive: watch::Receiver<()>) {
        while let Some(expiry) = self.sweep() {
            // Nothing is sent: it ends with an error when the cache is dropped.
            let _ = timeout_at(expiry, alive.changed()).await;
            yield_now().await;
        }
    }

    /// Returns when to sweep again.
    fn sweep(&self) -> Option<Instant> {
        let shared = self.shared.upgrade()?;
        let mut state = shared.lock();
        let gone = state.take_expired(Instant::now(), 100);
        let next = state.next_expiry();
        if next.is_none() {
            state.sweeper = None;
        }
        drop(state);
        drop(gone);
        next
    }
}

impl<K, V, E> Drop for Sweeper<K, V, E> {
    /// The runtime may end before the cache: the next `insert` starts a new task.
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            let mut state = shared.lock();
            if state.sweeper == Some(self.number) {
                state.sweeper = None;
            }
        }
    }
}

/// Counts the letters of its arguments, of each only once: `cargo run -- Ann Ben Ann`.
#[tokio::main]
pub async fn main() -> Result<(), LoadError<std::convert::Infallible>> {
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
