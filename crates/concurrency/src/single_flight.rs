//! Share one call among concurrent callers of a key (single flight, cache stampede).
//!
//! If a call for a key is already running, `SingleFlight::run` below waits for that call
//! and starts no second call. Each call runs in a task, so it keeps running if its first
//! caller is cancelled, as with `asyncio.shield`. All waiters get a clone of the result;
//! put an error that is not `Clone` into an `Arc`.
//!
//! Bounds: At most one call runs per key, plus the calls whose key you removed with
//! `forget`. Unbounded: The time of a call. If a call hangs, all callers of its key wait
//! forever: put a `timeout` into the call.
//!
//! Trap: If the call uses `self` of your method, the compiler reports "borrowed data
//! escapes outside of method", because a task must own its data. Keep your struct in an
//! `Arc`, and move a clone of the `Arc` into the call.
//!
//! In production: `try_get_with` of the crate `moka` also caches the values, with a TTL
//! and a capacity. `moka` runs the call in the first caller. If that caller is cancelled,
//! another caller starts a new call.
//!
//! asyncio: asyncio.create_task, asyncio.shield, asyncio.Task.add_done_callback

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

/// The running calls. Each has a receiver of its result, which later callers copy.
type Calls<K, V> = Mutex<HashMap<K, broadcast::Receiver<V>>>;

fn lock<K, V>(calls: &Calls<K, V>) -> MutexGuard<'_, HashMap<K, broadcast::Receiver<V>>> {
    // Each change of the map is a single call, so a poisoned lock is harmless.
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs at most one call per key at a time, like Go's `singleflight`. Clones share the
/// calls. Results are not kept: the next caller starts another call.
#[derive(Debug)]
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

    /// Forgets the running call of this key: the next caller starts another one, for
    /// example after a write. Callers that wait already get the result of the first call.
    pub fn forget(&self, key: &K) {
        lock(&self.calls).remove(key);
    }

    /// Runs `call` in a task. If a call for this key is running, waits for that one, and
    /// drops `call` unused. All callers get a clone of the result.
    ///
    /// Cancel safety: if a caller is dropped, the call keeps running, even if no caller
    /// is left. A call that asks for its own key deadlocks. The call sees neither the
    /// task locals nor the tracing span of its caller.
    ///
    /// # Errors
    ///
    /// [`NoResult`] for all waiters, if the call panics. The next caller starts another.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub async fn run(
        &self,
        key: K,
        call: impl Future<Output = V> + Send + 'static,
    ) -> Result<V, NoResult> {
        let (sender, mut result) = broadcast::channel(1);
        let running = {
            let mut calls = lock(&self.calls);
            let running = calls.get(&key).map(broadcast::Receiver::resubscribe);
            if running.is_none() {
                calls.insert(key.clone(), result.resubscribe());
            }
            running
        };
        // Not under the lock: a runtime that is being shut down drops the task within
        // `spawn`, and dropping its flight takes the lock.
        if let Some(running) = running {
            drop(call);
            result = running;
        } else {
            let calls = Arc::clone(&self.calls);
            let flight = Flight { calls, key, sender };
            tokio::spawn(async move {
                let value = call.await;
                // Frees the key first, so that a caller that gets the result and asks
                // again starts a new call.
                let sender = flight.sender.clone();
                drop(flight);
                // Sending fails if no waiter is left, which is no error.
                let _ = sender.send(value);
            });
        }
        result.recv().await.map_err(|_| NoResult)
    }
}

/// A running call. Dropping it frees its key: at the end, after a panic, or at a shutdown
/// of the runtime. Then the dropped sender informs the waiters that no result comes.
struct Flight<K: Eq + Hash, V> {
    calls: Arc<Calls<K, V>>,
    key: K,
    sender: broadcast::Sender<V>,
}

impl<K: Eq + Hash, V> Drop for Flight<K, V> {
    fn drop(&mut self) {
        let own = self.sender.subscribe();
        let mut calls = lock(&self.calls);
        // After `forget`, another call may have the key.
        if calls
            .get(&self.key)
            .is_some_and(|running| running.same_channel(&own))
        {
            calls.remove(&self.key);
        }
    }
}

/// Reads a file once for two callers, and again for one that comes after a change of the
/// file: `cargo run -- Cargo.toml`.
#[tokio::main]
async fn main() -> Result<(), NoResult> {
    let files = SingleFlight::new();
    let path = std::env::args().nth(1).unwrap_or_default();
    let read = async || {
        let wanted = path.clone();
        let call = async move {
            println!("reading {wanted}");
            let text = tokio::fs::read_to_string(wanted).await;
            text.map(Arc::<str>::from).map_err(Arc::new)
        };
        files.run(path.clone(), call).await
    };
    let changed = async {
        files.forget(&path);
        read().await
    };
    let (first, second, third) = tokio::try_join!(read(), read(), changed)?;
    for text in [first, second, third] {
        match text {
            Ok(text) => println!("{} bytes", text.len()),
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}

//@ stderr: there is no user 0
//@ try: Cargo.lock -> reading Cargo.lock
