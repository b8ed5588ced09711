//! Share one call among concurrent callers of a key: single flight, cache stampede.
//!
//! A caller that asks for a key which is being loaded waits for that call and starts none
//! of its own. Each call runs in a task, so it survives the caller that started it, as
//! with `shield`. All waiters get a clone of the result; put an error that is not `Clone`
//! into an `Arc`.
//!
//! Bounds: one call for each key. A call without a timeout may hold its key for ever.
//!
//! Trap: the task must own what it uses ("borrowed data escapes outside of method"). A
//! struct gives it an `Arc` of itself.
//!
//! In production: `Cache::try_get_with` of `moka` also caches the values, with a TTL and
//! a capacity. It runs the call in the caller, and another caller starts anew if that one
//! is cancelled.
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

/// Runs at most one call for each key at a time. Its result goes to all callers that
/// asked meanwhile, as in Go's `singleflight`.
///
/// Results are not kept: after the end of a call, the next caller starts a new one.
/// Clones share the calls. Different keys do not wait for each other.
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
    /// Returns a group without calls.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `call` in a task. If a call for this key is running, waits for that one, and
    /// drops `call` unused. All callers get a clone of the result.
    ///
    /// Cancel safety: if a caller is dropped, the call runs on, also when no caller is
    /// left.
    ///
    /// A call that never ends keeps its key for ever: put a timeout into it. A call that
    /// asks for its own key waits for itself. The call sees neither the task locals nor
    /// the tracing span of its caller.
    ///
    /// # Errors
    ///
    /// [`NoResult`] for all waiters. The next caller starts a new call.
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

/// A running call. It is dropped at the end, by a panic or by the runtime. Then it frees
/// its key first and sends the result afterwards, so that a caller that gets the result
/// and asks again starts a new call. Without a result, dropping the sender tells the
/// waiters.
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
            // It fails if no waiter is left.
            let _ = self.sender.send(value);
        }
    }
}

/// Users on a server, with the running calls.
pub struct Users {
    flights: SingleFlight<u32, Result<String, String>>,
    latency: Duration,
}

impl Users {
    /// Returns the user with this number, loaded once for all concurrent callers.
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
