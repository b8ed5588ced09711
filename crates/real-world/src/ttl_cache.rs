//! Cache with a time to live (TTL), a capacity (LRU) and one load a key: async memoize.
//!
//! `functools.lru_cache` on an `async def` keeps coroutines, which can be awaited once;
//! neither asyncio nor Tokio has a cache. The traps are the same in both: all who miss at
//! once load, a load that is cancelled with the one who began it fails the rest, failures
//! are kept, what nobody asks for again stays in memory for ever, and a load that began
//! before a change puts the old value back after it. Here a load runs in a task, so it
//! owns what it uses ("borrowed data escapes outside of method"): a struct gives it an
//! `Arc` of itself. Another task drops what expires. `OrderedDict` with `move_to_end` is
//! a `LinkedHashMap` with `to_back`, of the crate `hashlink`. The crate `moka` does more:
//! shards in place of one lock, admission by frequency, weights, an expiry for each
//! entry; its clock cannot be paused in a test.
//!
//! asyncio: asyncio.shield, asyncio.create_task, loop.call_later, asyncio.timeout

use std::collections::HashMap;
use std::hash::{Hash, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures::future::join_all;
use hashlink::LinkedHashMap;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// A longer time to live than this counts as this, so that the sum with now fits.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError<E> {
    /// The load failed with this.
    #[error(transparent)]
    Failed(E),
    /// The load ended without a result: it panicked, or its runtime was shut down.
    #[error("the load ended without a result")]
    NoResult,
}

/// Keeps values for a time, up to a number of them, and loads those that it lacks.
///
/// An entry leaves memory when its time is over, within a millisecond or so, also if
/// nobody asks: a task waits for that while there are entries. When there are too many,
/// the one that was not used for longest goes. Dropping the last clone drops all entries.
/// Clones share the entries. `V` is cloned for whoever asks: put what is large into an
/// `Arc`, and an error that is not `Clone` too. Loads in progress do not count to the
/// capacity. Each call takes one lock, for a time that does not grow with the entries.
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
    /// From the one that was not used for longest to the last used. With the standard
    /// library's hashing, which is safe from keys that are chosen to collide; the map's
    /// own is faster.
    entries: LinkedHashMap<K, Entry<V>, RandomState>,
    /// The keys by the number of their entry, from the first to expire to the last: in
    /// the order of storing, as all are kept for the same time.
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
    /// An empty cache of at most `capacity` entries, each kept for `ttl` from when it was
    /// stored, which is when its load ended. With a `ttl` of zero nothing is kept, and
    /// only who asks at the same time shares a load.
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

    /// The value of this key: the kept one, or that of the load in progress, or else that
    /// of `load`, which is run in a task and kept if it succeeds.
    ///
    /// Cancel-safe: a load runs to its end and is kept, whoever leaves. One that never
    /// ends keeps others from loading its key: put a deadline into it. It owns what it
    /// uses, and sees neither task locals nor the tracing span of who began it.
    ///
    /// # Errors
    ///
    /// What the load returned, to all who wait for it. It is not kept: the next to ask
    /// begins a new load. A load that panics gives [`LoadError::NoResult`].
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime, when there is something to load.
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
        // Not under the lock: what is dropped here may take it.
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

    /// The value that is kept for this key, which counts as a use of it.
    pub fn get(&self, key: &K) -> Option<V> {
        self.shared.lock().get(key)
    }

    /// Keeps this value. The result of a load that runs goes to those who wait for it
    /// and is not kept, as it may be older.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime, unless the time to live is zero.
    pub fn insert(&self, key: K, value: V) {
        self.shared.store(key, value, None);
    }

    /// Forgets the value, and returns it. The result of a load that runs goes to those
    /// who wait for it and is not kept: call this after the change.
    pub fn remove(&self, key: &K) -> Option<V> {
        let mut state = self.shared.lock();
        let load = state.loads.remove(key);
        let entry = state.remove(key);
        drop(state);
        drop(load);
        let fresh = |entry: &Entry<V>| Instant::now() < entry.expires;
        entry.filter(fresh).map(|entry| entry.value)
    }

    /// How many entries are in memory.
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
    /// The state is whole between any two of its calls, so a panic elsewhere (in a
    /// `clone`, say) spoils nothing.
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
    /// Stores the value. That of a load only if it is the one that runs now.
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
            gone.append(&mut state.take_expired(now));
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
        // First, as a key in `by_expiry` needs its entry, even if its `hash` panics.
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

    fn take_expired(&mut self, now: Instant) -> Vec<Entry<V>> {
        let mut gone = Vec::new();
        while self.next_expiry().is_some_and(|expiry| expiry <= now)
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

/// The load of a key, which is freed before the result is told, so that who hears of a
/// failure and asks again begins a new load. Dropped without a result, by a panic or by
/// the runtime, it frees its key all the same, and the sender's end tells of that.
struct Flight<K: Clone + Eq + Hash, V, E> {
    /// Weak, so that a load does not keep the entries when the cache is dropped.
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
        // It fails when nobody waits any more.
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
            // Nothing is sent, so it is an error at once when the cache is dropped.
            let _ = timeout_at(expiry, alive.changed()).await;
        }
    }

    /// Returns when to come again.
    fn sweep(&self) -> Option<Instant> {
        let shared = self.shared.upgrade()?;
        let mut state = shared.lock();
        let gone = state.take_expired(Instant::now());
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
    /// The runtime may be gone before the cache is: the next to store makes a new task.
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            let mut state = shared.lock();
            if state.sweeper == Some(self.number) {
                state.sweeper = None;
            }
        }
    }
}

/// There is no user with this number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("user {0} not found")]
pub struct NotFound(u32);

/// Names of users, kept elsewhere, with a cache before them.
pub struct Users {
    names: Mutex<HashMap<u32, &'static str>>,
    latency: Duration,
    cache: TtlCache<u32, &'static str, NotFound>,
}

impl Users {
    /// The name of the user with this number, perhaps as it was a while ago.
    pub async fn name(
        self: &Arc<Self>,
        id: u32,
    ) -> Result<&'static str, LoadError<NotFound>> {
        let users = Arc::clone(self);
        let load = async move { users.load(id).await };
        self.cache.get_or_load(id, load).await
    }

    async fn load(&self, id: u32) -> Result<&'static str, NotFound> {
        println!("loading user {id}");
        let name = self.lock().get(&id).copied();
        sleep(self.latency).await;
        name.ok_or(NotFound(id))
    }

    /// The next to ask loads the new name.
    fn rename(&self, id: u32, name: &'static str) {
        self.lock().insert(id, name);
        self.cache.remove(&id);
    }

    /// The next to ask need not load it.
    fn add(&self, id: u32, name: &'static str) {
        self.lock().insert(id, name);
        self.cache.insert(id, name);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, &'static str>> {
        // A map of plain values is whole between any two of its calls.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks for a name after some milliseconds, and says what came of it.
async fn ask(users: &Arc<Users>, millis: u64, id: u32) -> String {
    sleep(Duration::from_millis(millis)).await;
    match users.name(id).await {
        Ok(name) => name.to_string(),
        Err(error) => error.to_string(),
    }
}

/// All at once, in one line.
async fn ask_all(users: &Arc<Users>, asked: &[(u64, u32)]) {
    let asked = asked.iter().map(|(millis, id)| ask(users, *millis, *id));
    println!("{}", join_all(asked).await.join(", "));
}

pub async fn run() {
    let names = [(1, "Ann"), (2, "Ben"), (3, "Cid"), (4, "Dan"), (5, "Eve")];
    let users = Arc::new(Users {
        names: Mutex::new(HashMap::from(names)),
        latency: Duration::from_millis(200),
        cache: TtlCache::new(2, Duration::from_millis(600)),
    });

    println!("Three ask while it is loaded, one later:");
    ask_all(&users, &[(0, 1), (50, 1), (100, 1), (300, 1)]).await;

    println!("After 0.4 s, when it is still kept, and after 0.7 s:");
    ask_all(&users, &[(300, 1), (600, 1)]).await;

    println!("Two fit; when a third comes, the one goes that was not used for longest:");
    for id in [2, 1, 3, 1, 2] {
        println!("asking for user {id}");
        ask_all(&users, &[(0, id)]).await;
    }

    println!("A failure goes to all who wait, and is not kept:");
    ask_all(&users, &[(0, 9), (100, 9), (300, 9)]).await;

    println!("The one who began the load leaves after 0.1 s:");
    let first = timeout(Duration::from_millis(100), ask(&users, 0, 4));
    let (first, second) = tokio::join!(first, ask(&users, 50, 4));
    let first = first.unwrap_or_else(|_| "gave up".to_string());
    println!("{first}, {second}");
    println!("kept: {}", users.cache.get(&4).unwrap_or("nothing"));

    println!("A name is changed while it is loaded:");
    let change = async {
        sleep(Duration::from_millis(100)).await;
        users.rename(5, "Eva");
    };
    tokio::join!(ask_all(&users, &[(0, 5)]), change);
    ask_all(&users, &[(0, 5)]).await;

    println!("A new name is kept at once:");
    users.add(6, "Flo");
    ask_all(&users, &[(0, 6)]).await;

    println!("What expires goes, also when nobody asks:");
    println!("{} in memory", users.cache.len());
    sleep(Duration::from_millis(700)).await;
    println!("{} in memory", users.cache.len());
}

#[tokio::main]
pub async fn main() {
    run().await;
}
