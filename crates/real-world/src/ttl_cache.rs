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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::{Arc, OnceLock};
    use std::task::Poll;
    use std::time::Duration;

    use futures::future::join_all;
    use tokio::runtime::{Builder, Handle};
    use tokio::task::{JoinSet, yield_now};
    use tokio::time::{Instant, advance, sleep, timeout};

    use super::{LoadError, TtlCache};

    const HOUR: Duration = Duration::from_secs(3600);
    const TICK: Duration = Duration::from_millis(1);

    type Cache = TtlCache<u32, usize, u32>;

    fn tasks() -> usize {
        Handle::current().metrics().num_alive_tasks()
    }

    /// Polls the future at most `polls` times, a millisecond apart, and drops it if it is
    /// not ready then.
    async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
        let mut future = pin!(future);
        for _ in 0..polls {
            if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
                return Some(output);
            }
            sleep(TICK).await;
        }
        None
    }

    /// A load of five ticks, which counts how often it has begun.
    async fn load(begun: Arc<AtomicUsize>) -> Result<usize, u32> {
        let number = begun.fetch_add(1, SeqCst) + 1;
        sleep(5 * TICK).await;
        Ok(number)
    }

    /// Every key is in all maps or in none.
    fn check<K, V, E>(cache: &TtlCache<K, V, E>) {
        let state = cache.shared.lock();
        assert_eq!(state.entries.len(), state.by_expiry.len());
        assert!(state.entries.len() <= cache.shared.capacity);
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_at_each_await() {
        for (leaders, followers) in [(1, 0), (1, 3), (0, 1), (0, 3)] {
            let mut completed = false;
            for polls in 1..20 {
                let cache = Cache::new(1, HOUR);
                let begun = Arc::default();
                let ask = || cache.get_or_load(1, load(Arc::clone(&begun)));
                let stays = async {
                    sleep(TICK * leaders).await;
                    join_all((0..followers).map(|_| ask())).await
                };
                let leaves = async {
                    sleep(TICK * (1 - leaders)).await;
                    poll_and_drop(ask(), polls).await
                };
                let both = async { tokio::join!(stays, leaves) };
                let (stayed, left) = timeout(HOUR, both).await.expect("nobody hangs");
                assert_eq!(stayed, vec![Ok(1); followers]);
                completed |= left.is_some();
                assert_eq!(left.unwrap_or(Ok(1)), Ok(1));

                sleep(10 * TICK).await;
                assert_eq!(cache.get(&1), Some(1), "it is kept, whoever left");
                assert_eq!(begun.load(SeqCst), 1, "one load for all");
                assert!(cache.shared.lock().loads.is_empty(), "its key is free");
                check(&cache);
            }
            assert!(completed, "20 polls are enough");
        }
    }

    #[tokio::test]
    async fn not_polled_it_does_nothing() {
        let cache = Cache::new(1, HOUR);
        drop(cache.get_or_load(1, async { Ok(1) }));
        assert!(cache.shared.lock().loads.is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn ten_thousand_at_once() {
        const KEYS: usize = 7;
        let ttl = Duration::from_millis(3);
        let cache: TtlCache<usize, (usize, usize), usize> = TtlCache::new(4, ttl);
        let running: Arc<[AtomicUsize; KEYS]> = Arc::default();
        let loads = Arc::new(AtomicUsize::new(0));
        let mut set = JoinSet::new();
        for number in 0..10_000 {
            let key = number % KEYS;
            let (running, loads) = (Arc::clone(&running), Arc::clone(&loads));
            let load = async move {
                loads.fetch_add(1, SeqCst);
                let others = running[key].fetch_add(1, SeqCst);
                sleep(Duration::from_micros(number as u64 % 300)).await;
                running[key].fetch_sub(1, SeqCst);
                match key {
                    0 => Err(others),
                    _ => Ok((key, others)),
                }
            };
            let cache = cache.clone();
            let task = set.spawn(async move {
                let result = cache.get_or_load(key, load);
                let result = match number % 3 {
                    // Gives up early, often as the one who began it.
                    0 => timeout(Duration::from_micros(50), result).await.ok(),
                    _ => Some(result.await),
                };
                check(&cache);
                (key, result)
            });
            if number % 10 == 9 {
                task.abort();
            }
            if number % 100 == 0 {
                yield_now().await;
            }
        }
        let (mut results, mut gave_up, mut aborted) = (0, 0, 0);
        let all = async {
            while let Some(outcome) = set.join_next().await {
                match outcome {
                    Ok((0, Some(result))) => {
                        assert_eq!(result, Err(LoadError::Failed(0)));
                        results += 1;
                    }
                    Ok((key, Some(result))) => {
                        assert_eq!(result, Ok((key, 0)), "its own, one at a time");
                        results += 1;
                    }
                    Ok((_, None)) => gave_up += 1,
                    Err(error) if error.is_cancelled() => aborted += 1,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        timeout(HOUR / 60, all).await.expect("nobody hangs");
        assert_eq!(results + gave_up + aborted, 10_000);
        assert!(results > 0 && loads.load(SeqCst) < 10_000);
        // The last loads may still run, and the last entries have to expire.
        for _ in 0..1000 {
            let is_idle = {
                let state = cache.shared.lock();
                state.loads.is_empty() && state.entries.is_empty()
            };
            if is_idle && cache.shared.lock().sweeper.is_none() {
                return;
            }
            sleep(5 * TICK).await;
        }
        panic!("something stays for ever");
    }

    #[tokio::test(start_paused = true)]
    async fn limits() {
        assert!(catch_unwind(|| Cache::new(0, HOUR)).is_err(), "no room");

        let nothing = Cache::new(1, Duration::ZERO);
        nothing.insert(1, 1);
        assert_eq!(nothing.get_or_load(2, async { Ok(2) }).await, Ok(2));
        assert_eq!((nothing.get(&1), nothing.len()), (None, 0));

        let one = Cache::new(1, Duration::MAX);
        one.insert(1, 1);
        one.insert(1, 2);
        assert_eq!((one.get(&1), one.len()), (Some(2), 1));
        one.insert(2, 3);
        assert_eq!((one.get(&1), one.get(&2)), (None, Some(3)));
        assert_eq!((one.remove(&2), one.remove(&2)), (Some(3), None));
        check(&one);
    }

    #[tokio::test(start_paused = true)]
    async fn as_a_plain_list_would() {
        const TTL: u64 = 20;
        let cache = Cache::new(5, TTL as u32 * TICK);
        // Key, value and expiry, from the key not used for longest to the last used.
        let mut list: Vec<(u32, usize, Instant)> = Vec::new();
        let mut random = 1_u32;
        for number in 0..20_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (key, choice) = ((random >> 24) % 8, (random >> 16) % 8);
            if choice == 1 {
                advance((random >> 20) % 8 * TICK).await;
                continue;
            }
            let now = Instant::now();
            list.retain(|(_, _, expiry)| *expiry > now);
            let at = list.iter().position(|entry| entry.0 == key);
            let kept = at.map(|at| list.remove(at));
            match choice {
                0 => assert_eq!(cache.remove(&key), kept.map(|entry| entry.1)),
                2 | 3 => {
                    cache.insert(key, number);
                    if list.len() == 5 {
                        list.remove(0);
                    }
                    list.push((key, number, now + Duration::from_millis(TTL)));
                }
                _ => {
                    assert_eq!(cache.get(&key), kept.map(|entry| entry.1));
                    list.extend(kept);
                }
            }
            check(&cache);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_changed_is_not_overwritten_by_an_older_load() {
        for insert in [false, true] {
            let cache = Cache::new(2, HOUR);
            let begun = Arc::default();
            let ask = || cache.get_or_load(1, load(Arc::clone(&begun)));
            let change = async {
                sleep(TICK).await;
                if insert {
                    cache.insert(1, 10);
                } else {
                    cache.remove(&1);
                }
                // The next begins a load of its own beside the first, or has no need to.
                sleep(TICK).await;
                ask().await
            };
            let expected = if insert { Ok(10) } else { Ok(2) };
            assert_eq!(tokio::join!(ask(), change), (Ok(1), expected));
            assert_eq!(cache.get(&1), Some(if insert { 10 } else { 2 }));
            assert!(cache.shared.lock().loads.is_empty());
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn who_hears_of_a_failure_and_asks_again_begins_a_new_load() {
        let cache = Cache::new(1, HOUR);
        let mut set = JoinSet::new();
        for _ in 0..4 {
            let cache = cache.clone();
            set.spawn(async move {
                for _ in 0..3000 {
                    let result = cache.get_or_load(1, async { Err(7) }).await;
                    assert_eq!(result, Err(LoadError::Failed(7)));
                }
            });
        }
        let all = timeout(HOUR / 60, set.join_all());
        all.await.expect("nobody hangs");
    }

    #[tokio::test(start_paused = true)]
    async fn panics_wedge_nothing() {
        /// Panics at the clone with this number.
        struct Fragile(Cell<u32>);
        impl Clone for Fragile {
            fn clone(&self) -> Self {
                self.0.set(self.0.get().wrapping_sub(1));
                assert_ne!(self.0.get(), 0, "scheduled");
                Self(self.0.clone())
            }
        }
        let cache: TtlCache<u32, Fragile, ()> = TtlCache::new(1, HOUR);
        let asks = (0..4).map(|_| cache.get_or_load(1, async { panic!("scheduled") }));
        for result in timeout(HOUR, join_all(asks)).await.expect("nobody hangs") {
            assert!(matches!(result, Err(LoadError::NoResult)));
        }
        let load = async { Ok(Fragile(Cell::new(9))) };
        assert!(
            timeout(HOUR, cache.get_or_load(1, load))
                .await
                .is_ok_and(|r| r.is_ok())
        );
        // In the load's task, and then under the lock.
        cache.remove(&1);
        let load = async { Ok(Fragile(Cell::new(1))) };
        let result = timeout(HOUR, cache.get_or_load(1, load)).await;
        assert!(matches!(result, Ok(Err(LoadError::NoResult))));
        cache.insert(1, Fragile(Cell::new(1)));
        let other = cache.clone();
        let got = tokio::spawn(async move { other.get(&1).is_some() }).await;
        assert!(got.is_err_and(|error| error.is_panic()));

        let load = async { Ok(Fragile(Cell::new(9))) };
        cache.remove(&1);
        assert!(
            timeout(HOUR, cache.get_or_load(1, load))
                .await
                .is_ok_and(|r| r.is_ok())
        );
        assert_eq!(cache.len(), 1);
        check(&cache);
    }

    #[tokio::test(start_paused = true)]
    async fn what_expires_is_dropped_and_no_task_is_left() {
        let value = Arc::new(());
        let cache: TtlCache<u32, Arc<()>, ()> = TtlCache::new(9, 10 * TICK);
        for key in 0..3 {
            cache.insert(key, Arc::clone(&value));
            sleep(4 * TICK).await;
        }
        assert_eq!(tasks(), 1, "one for all");
        // Stored at 0, 4 and 8; now it is 12.
        assert_eq!(Arc::strong_count(&value), 3);
        sleep(4 * TICK).await;
        assert_eq!(Arc::strong_count(&value), 2);
        sleep(4 * TICK).await;
        assert_eq!((Arc::strong_count(&value), tasks()), (1, 0));

        cache.insert(1, Arc::clone(&value));
        assert_eq!((Arc::strong_count(&value), tasks()), (2, 1), "and again");
        sleep(TICK).await;
        drop(cache);
        assert_eq!(Arc::strong_count(&value), 1, "with the cache, at once");
        sleep(2 * TICK).await;
        assert_eq!(tasks(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_load_outlives_the_cache() {
        let cache = Cache::new(1, HOUR);
        let begun = Arc::new(AtomicUsize::new(0));
        let asked = cache.get_or_load(1, load(Arc::clone(&begun)));
        assert!(timeout(TICK, asked).await.is_err());
        let entries = Arc::downgrade(&cache.shared);
        drop(cache);
        assert_eq!(entries.strong_count(), 0, "but not the entries");
        assert_eq!((begun.load(SeqCst), tasks()), (1, 1));
        sleep(10 * TICK).await;
        assert_eq!(tasks(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_may_use_the_cache_when_it_is_dropped() {
        #[derive(Clone)]
        struct Nosy(Arc<OnceLock<TtlCache<u32, Nosy, ()>>>);
        impl Drop for Nosy {
            fn drop(&mut self) {
                self.0.get().map(TtlCache::len);
            }
        }
        let nosy = Nosy(Arc::default());
        let cache = TtlCache::new(1, 10 * TICK);
        assert!(nosy.0.set(cache.clone()).is_ok());
        let (report, reported) = std::sync::mpsc::channel();
        // In a thread of its own, as a deadlock would block it.
        std::thread::spawn(move || {
            let mut builder = Builder::new_current_thread();
            let runtime = builder.enable_all().start_paused(true).build();
            runtime.expect("a runtime").block_on(async {
                for key in [1, 1, 2, 3] {
                    cache.insert(key, nosy.clone());
                }
                cache.remove(&3);
                cache.insert(4, nosy.clone());
                let unused = nosy.clone();
                let _ = cache.get_or_load(4, async { Ok(unused) }).await;
                sleep(30 * TICK).await;
            });
            report.send(cache.len())
        });
        assert_eq!(reported.recv_timeout(HOUR / 360), Ok(0));
    }

    #[test]
    fn it_may_outlive_its_runtime() {
        let runtime = || {
            let mut builder = Builder::new_current_thread();
            let built = builder.enable_all().start_paused(true).build();
            built.expect("a runtime")
        };
        let cache = Cache::new(3, 10 * TICK);
        let outside = cache.clone();
        // With Tokio's feature `full` the cache is not `UnwindSafe` by itself.
        assert!(catch_unwind(AssertUnwindSafe(move || outside.insert(0, 0))).is_err());
        assert_eq!(cache.shared.lock().sweeper, None);

        runtime().block_on(async {
            cache.insert(1, 1);
            let load = cache.get_or_load(2, pending());
            assert!(timeout(TICK, load).await.is_err());
        });
        runtime().block_on(async {
            let load = timeout(HOUR, cache.get_or_load(2, async { Ok(2) }));
            assert_eq!(load.await, Ok(Ok(2)), "its key was freed");
            sleep(20 * TICK).await;
            assert_eq!(cache.get(&2), None);
            assert_eq!(tasks(), 0, "the new task has seen to it");
        });
    }

    #[tokio::test]
    async fn in_a_struct_in_a_task_with_what_is_only_send() {
        struct Service {
            cache: TtlCache<String, Cell<u8>, Arc<std::io::Error>>,
        }
        let cache = TtlCache::new(1, HOUR);
        let service = Arc::new(Service { cache });
        let tasks = (0..4).map(|number| {
            let service = Arc::clone(&service);
            tokio::spawn(async move {
                let key = format!("key {}", number % 2);
                let load = async move {
                    yield_now().await;
                    match number % 2 {
                        0 => Ok(Cell::new(7)),
                        _ => Err(Arc::new(std::io::Error::other("scheduled"))),
                    }
                };
                service.cache.get_or_load(key, load).await
            })
        });
        for (number, task) in tasks.collect::<Vec<_>>().into_iter().enumerate() {
            let result = timeout(HOUR / 360, task).await.expect("it ends");
            let value = result.expect("it is Send").map(Cell::into_inner);
            match number % 2 {
                0 => assert!(matches!(value, Ok(7))),
                _ => assert!(value.is_err_and(|error| error.to_string() == "scheduled")),
            }
        }
    }
}
