//! Share one call among concurrent callers of a key: single flight, cache stampede.
//!
//! Whoever asks for a key that is being loaded waits for that call and makes none of its
//! own. The call runs in a task, so it survives the caller who began it, as with
//! `shield`, and owns what it uses ("borrowed data escapes outside of method"): a struct
//! gives it an `Arc` of itself. The trap is a call in the body of whoever asked first:
//! cancelled with it, it leaves the others without a result. A failure goes to all who
//! wait, hence `Clone`; an error that is not `Clone` goes into an `Arc`. The crate `moka`
//! does more: `Cache::try_get_with` also keeps the values, for a time and up to a number.
//!
//! asyncio: asyncio.create_task, asyncio.shield, asyncio.Task.add_done_callback
//! stderr: there is no user 0

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::broadcast;
use tokio::time::{sleep, timeout};

/// The calls that run now. Each has a receiver of its result, for others to copy.
type Calls<K, V> = Mutex<HashMap<K, broadcast::Receiver<V>>>;

fn lock<K, V>(calls: &Calls<K, V>) -> MutexGuard<'_, HashMap<K, broadcast::Receiver<V>>> {
    // The map is whole between any two of its calls, so a panic elsewhere spoils nothing.
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// At most one call for each key at a time, whose result goes to all who asked meanwhile.
///
/// Results are not kept: who asks after the end begins a new call. Clones share the
/// calls. Keys do not wait for each other. The idea is that of Go's `singleflight`.
pub struct SingleFlight<K, V> {
    calls: Arc<Calls<K, V>>,
}

/// The call ended without a result: it panicked, or its runtime was shut down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoResult;

impl fmt::Display for NoResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call ended without a result")
    }
}

impl std::error::Error for NoResult {}

impl<K, V> Clone for SingleFlight<K, V> {
    fn clone(&self) -> Self {
        let calls = Arc::clone(&self.calls);
        Self { calls }
    }
}

impl<K, V> Default for SingleFlight<K, V> {
    /// Nothing runs yet.
    fn default() -> Self {
        let calls = Arc::default();
        Self { calls }
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// Nothing runs yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `call` in a task, or drops it unused and waits for the call that is already
    /// running for this key. All who wait get a clone of the result at the same time.
    ///
    /// Cancel-safe: whoever began it may be dropped, the call runs on, and the rest get
    /// its result. With nobody left it runs to its end all the same. A call that never
    /// ends keeps its key for ever: put a deadline into it. One that asks for its own key
    /// waits for itself. The call sees neither task locals nor the tracing span of who
    /// began it.
    ///
    /// # Errors
    ///
    /// [`NoResult`] to all who wait. The next to ask begins a new call.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub async fn run(
        &self,
        key: K,
        call: impl Future<Output = V> + Send + 'static,
    ) -> Result<V, NoResult> {
        let (mut result, flight) = {
            let mut calls = lock(&self.calls);
            if let Some(running) = calls.get(&key) {
                (running.resubscribe(), None)
            } else {
                let (sender, result) = broadcast::channel(1);
                calls.insert(key.clone(), result.resubscribe());
                let (calls, value) = (Arc::clone(&self.calls), None);
                (
                    result,
                    Some(Flight {
                        calls,
                        key,
                        value,
                        sender,
                    }),
                )
            }
        };
        // Not under the lock: a runtime that is being shut down drops the task within
        // `spawn`, and the flight takes the lock when it is dropped.
        match flight {
            Some(flight) => {
                tokio::spawn(async move { flight.land(call.await) });
            }
            None => drop(call),
        }
        result.recv().await.map_err(|_| NoResult)
    }
}

/// A running call. When it is dropped, be it at the end, by a panic or by the runtime, it
/// frees its key first and tells the result then, so that who hears of the result and
/// asks again begins a new call. Without a result the sender's end tells of that.
struct Flight<K: Eq + Hash, V> {
    calls: Arc<Calls<K, V>>,
    key: K,
    value: Option<V>,
    sender: broadcast::Sender<V>,
}

impl<K: Eq + Hash, V> Flight<K, V> {
    fn land(mut self, value: V) {
        self.value = Some(value);
    }
}

impl<K: Eq + Hash, V> Drop for Flight<K, V> {
    fn drop(&mut self) {
        lock(&self.calls).remove(&self.key);
        if let Some(value) = self.value.take() {
            // It fails when nobody waits any more.
            let _ = self.sender.send(value);
        }
    }
}

/// Users as they are elsewhere, with the calls that run now.
pub struct Users {
    flights: SingleFlight<u32, Result<String, String>>,
    latency: Duration,
}

impl Users {
    /// The user with this number, loaded once for all who ask meanwhile.
    pub async fn get(self: &Arc<Self>, id: u32) -> Result<String, String> {
        let users = Arc::clone(self);
        let call = async move { users.load(id).await };
        let result = self.flights.run(id, call).await;
        result.unwrap_or_else(|no_result| Err(no_result.to_string()))
    }

    async fn load(&self, id: u32) -> Result<String, String> {
        println!("loading user {id}");
        sleep(self.latency).await;
        match id {
            0 => panic!("there is no user 0"),
            404 => Err(format!("user {id} not found")),
            _ => Ok(format!("User_{id}")),
        }
    }
}

/// Asks for the user after some milliseconds, and says what came of it.
async fn ask(users: &Arc<Users>, millis: u64, id: u32) -> String {
    sleep(Duration::from_millis(millis)).await;
    println!("somebody asks for user {id}");
    users.get(id).await.unwrap_or_else(|error| error)
}

pub async fn run() {
    let users = Arc::new(Users {
        flights: SingleFlight::new(),
        latency: Duration::from_millis(500),
    });

    println!("Three ask for user 1, one for user 2:");
    let asked = [(0, 1), (100, 1), (200, 2), (300, 1)];
    let names = join_all(asked.map(|(millis, id)| ask(&users, millis, id))).await;
    println!("{}", names.join(", "));

    println!("Once more, as nothing is kept:");
    println!("{}", ask(&users, 0, 1).await);

    println!("A failure is shared, and not kept either:");
    let asked = [(0, 404), (100, 404), (600, 404)];
    let errors = join_all(asked.map(|(millis, id)| ask(&users, millis, id))).await;
    println!("{}", errors.join(", "));

    println!("The one who began it leaves after 0.2 s:");
    let patience = Duration::from_millis(200);
    let first = timeout(patience, ask(&users, 0, 3));
    let (first, second) = tokio::join!(first, ask(&users, 100, 3));
    let first = first.unwrap_or_else(|_| "gave up".to_string());
    println!("{first}, {second}");

    println!("The call panics:");
    let asked = [(0, 0), (100, 0)];
    let ends = join_all(asked.map(|(millis, id)| ask(&users, millis, id))).await;
    println!("{}", ends.join(", "));
}

#[tokio::main]
pub async fn main() {
    run().await;
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::{Arc, PoisonError};
    use std::task::Poll;
    use std::time::Duration;

    use futures::future::join_all;
    use tokio::runtime::Builder;
    use tokio::task::JoinSet;
    use tokio::time::{sleep, timeout};

    use super::{NoResult, SingleFlight, lock};

    const HOUR: Duration = Duration::from_secs(3600);
    const TICK: Duration = Duration::from_millis(1);

    /// Polls the future at most `polls` times, a millisecond apart, and drops it if it is
    /// not ready then.
    async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
        let mut future = pin!(future);
        for _ in 0..polls {
            if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
                return Some(output);
            }
            sleep(Duration::from_millis(1)).await;
        }
        None
    }

    /// A call of five ticks, which counts how often it has begun and ended.
    async fn call(begun: Arc<AtomicUsize>, ended: Arc<AtomicUsize>) -> usize {
        let number = begun.fetch_add(1, SeqCst) + 1;
        sleep(5 * TICK).await;
        ended.fetch_add(1, SeqCst);
        number
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_at_each_await() {
        for (leaders, followers) in [(1, 0), (1, 3), (0, 1), (0, 3)] {
            let mut completed = false;
            for polls in 1..20 {
                let flights = SingleFlight::new();
                let (begun, ended) = (Arc::default(), Arc::default());
                let ask = || {
                    let call = call(Arc::clone(&begun), Arc::clone(&ended));
                    flights.run("key", call)
                };
                let stays = async {
                    sleep(TICK * u32::from(leaders > 0)).await;
                    join_all((0..followers).map(|_| ask())).await
                };
                let leaves = async {
                    sleep(TICK * u32::from(leaders == 0)).await;
                    poll_and_drop(ask(), polls).await
                };
                let both = async { tokio::join!(stays, leaves) };
                let (stayed, left) = timeout(HOUR, both).await.expect("nobody hangs");
                assert_eq!(stayed, vec![Ok(1); followers]);
                completed |= left.is_some();
                assert_eq!(left.unwrap_or(Ok(1)), Ok(1));

                sleep(10 * TICK).await;
                assert_eq!(begun.load(SeqCst), 1, "one call for all, {polls} polls");
                assert_eq!(ended.load(SeqCst), 1, "it survives who leaves");
                assert!(lock(&flights.calls).is_empty(), "its key is free again");
                let next = timeout(HOUR, ask()).await;
                assert_eq!(next, Ok(Ok(2)), "the next begins a new one");
            }
            assert!(completed, "20 polls are enough");
        }
    }

    #[tokio::test]
    async fn not_polled_it_does_nothing() {
        let flights = SingleFlight::new();
        drop(flights.run(1, async { 1 }));
        assert!(lock(&flights.calls).is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn ten_thousand_at_once() {
        const KEYS: usize = 7;
        let flights = SingleFlight::new();
        let running: Arc<[AtomicUsize; KEYS]> = Arc::default();
        let calls = Arc::new(AtomicUsize::new(0));
        let mut set = JoinSet::new();
        for number in 0..10_000 {
            let key = number % KEYS;
            let (running, calls) = (Arc::clone(&running), Arc::clone(&calls));
            let call = async move {
                calls.fetch_add(1, SeqCst);
                let others = running[key].fetch_add(1, SeqCst);
                sleep(Duration::from_micros(number as u64 % 300)).await;
                running[key].fetch_sub(1, SeqCst);
                // Only calls of one key fail.
                assert!(key != 0 || number % 16 != 5, "scheduled");
                (key, others)
            };
            let flights = flights.clone();
            let task = set.spawn(async move {
                let result = flights.run(key, call);
                match number % 3 {
                    // Gives up early, often as the one who began it.
                    0 => timeout(Duration::from_micros(50), result).await.ok(),
                    _ => Some(result.await),
                }
                .map(|result| (key, result))
            });
            if number % 10 == 9 {
                task.abort();
            }
            if number % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
        let (mut results, mut failed, mut gave_up, mut aborted) = (0, 0, 0, 0);
        let all = async {
            while let Some(outcome) = set.join_next().await {
                match outcome {
                    Ok(Some((key, Ok(value)))) => {
                        assert_eq!(value, (key, 0), "its own, and one at a time");
                        results += 1;
                    }
                    Ok(Some((key, Err(NoResult)))) => {
                        assert_eq!(key, 0, "the others do not fail");
                        failed += 1;
                    }
                    Ok(None) => gave_up += 1,
                    Err(error) if error.is_cancelled() => aborted += 1,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        timeout(Duration::from_secs(60), all)
            .await
            .expect("nobody hangs");
        assert_eq!(results + failed + gave_up + aborted, 10_000);
        assert!(results > 0 && calls.load(SeqCst) < 10_000);
        // The last calls may still run, with nobody waiting for them.
        for _ in 0..1000 {
            if lock(&flights.calls).is_empty() {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
        panic!("a key is never freed");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn who_comes_when_a_call_ends_gets_a_result() {
        let flights = SingleFlight::new();
        let mut set = JoinSet::new();
        for _ in 0..4 {
            let flights = flights.clone();
            set.spawn(async move {
                for _ in 0..5000 {
                    assert_eq!(flights.run((), async { 1 }).await, Ok(1));
                }
            });
        }
        let all = timeout(Duration::from_secs(60), set.join_all());
        all.await.expect("nobody hangs");
    }

    #[tokio::test(start_paused = true)]
    async fn keys_do_not_wait_for_each_other() {
        let flights = SingleFlight::new();
        let calls = (0..1000).map(|key| {
            flights.run(key, async move {
                sleep(TICK).await;
                key
            })
        });
        let results = timeout(2 * TICK, join_all(calls))
            .await
            .expect("all at once");
        assert!(results.into_iter().eq((0..1000).map(Ok)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_hears_the_result_and_asks_again_begins_a_new_call() {
        let flights = SingleFlight::new();
        let (begun, ended) = (Arc::default(), Arc::default());
        for number in 1..100 {
            let call = call(Arc::clone(&begun), Arc::clone(&ended));
            assert_eq!(timeout(HOUR, flights.run((), call)).await, Ok(Ok(number)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_panic_the_key_is_free() {
        let flights = SingleFlight::new();
        for _ in 0..3 {
            let calls = (0..4).map(|_| {
                flights.run("key", async {
                    sleep(TICK).await;
                    panic!("scheduled")
                })
            });
            let ends = timeout(HOUR, join_all(calls)).await.expect("nobody hangs");
            assert_eq!(ends, vec![Err::<u8, _>(NoResult); 4]);
        }
        assert_eq!(
            timeout(HOUR, flights.run("key", async { 5 })).await,
            Ok(Ok(5))
        );
    }

    #[test]
    fn a_runtime_that_is_shut_down_gives_no_result() {
        let (report, reported) = std::sync::mpsc::channel();
        // In a thread of its own, as a deadlock would block it.
        std::thread::spawn(move || {
            let gone = Builder::new_current_thread().build().expect("a runtime");
            let handle = gone.handle().clone();
            drop(gone);
            let _entered = handle.enter();
            let flights = SingleFlight::new();
            let result = futures::executor::block_on(flights.run(1, async { 1 }));
            let free = flights.calls.lock().unwrap_or_else(PoisonError::into_inner);
            report.send((result, free.is_empty()))
        });
        let reported = reported.recv_timeout(Duration::from_secs(10));
        assert_eq!(reported, Ok((Err(NoResult), true)));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_its_own_key_waits_for_itself() {
        let flights = SingleFlight::new();
        let inner = flights.clone();
        let call = async move { inner.run(1, async { 2 }).await.unwrap_or(3) };
        assert!(timeout(HOUR, flights.run(1, call)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_never_ends_keeps_its_key() {
        let flights = SingleFlight::new();
        assert!(
            timeout(HOUR, flights.run(1, std::future::pending()))
                .await
                .is_err()
        );
        assert!(timeout(HOUR, flights.run(1, async {})).await.is_err());
    }

    #[tokio::test]
    async fn the_call_sees_no_task_locals() {
        tokio::task_local! {
            static REQUEST: u32;
        }
        let flights = SingleFlight::new();
        let call = flights.run(1, async { REQUEST.try_get().ok() });
        assert_eq!(REQUEST.scope(7, call).await, Ok(None));
    }

    #[tokio::test]
    async fn an_error_that_is_not_clone_goes_into_an_arc() {
        let flights: SingleFlight<u8, Result<u8, Arc<std::io::Error>>> =
            SingleFlight::default();
        let failing = || {
            flights.run(1, async {
                tokio::task::yield_now().await;
                Err(Arc::new(std::io::Error::other("scheduled")))
            })
        };
        let (first, second) = tokio::join!(failing(), failing());
        match (first, second) {
            (Ok(Err(first)), Ok(Err(second))) => assert!(Arc::ptr_eq(&first, &second)),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn in_a_struct_in_a_task_with_what_is_only_send() {
        struct Service {
            flights: SingleFlight<String, std::cell::Cell<u8>>,
        }
        let flights = SingleFlight::new();
        let service = Arc::new(Service { flights });
        let tasks = (0..4).map(|_| {
            let service = Arc::clone(&service);
            tokio::spawn(async move {
                let call = async { std::cell::Cell::new(7) };
                service.flights.run("key".to_string(), call).await
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            let result = timeout(Duration::from_secs(10), task).await;
            assert_eq!(result.expect("it ends").expect("it is Send"), Ok(7.into()));
        }
    }
}
