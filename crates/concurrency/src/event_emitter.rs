//! An event emitter: async listeners (callbacks) by event, subscribing and unsubscribing.
//!
//! Each listener that you add with `EventEmitter::on` runs in its own task, so a slow,
//! failing or panicking listener does not stop the others. `emit` waits for all listeners
//! and returns their errors, like `asyncio.gather(return_exceptions=True)`. The example
//! `event_callbacks` is the plain form.
//!
//! Bounds: Unbounded: If a listener runs forever, `emit` waits forever. Put a `timeout`
//! into the listener.
//!
//! Trap: If you write `let _ = emitter.on(..)`, the listener is never called. `on`
//! returns a `Subscription`, and dropping that unsubscribes the listener. Keep it in a
//! variable, or call its method `keep`.
//!
//! Trap: If a listener owns a clone of its own emitter, both are never freed: they refer
//! to each other. Python's garbage collector would free them. Give the listener a
//! `WeakEmitter`, which does not keep the emitter alive.
//!
//! In production: The crate `async-broadcast` has no callbacks. Its receivers are
//! streams, and its sender waits for slow receivers.
//!
//! asyncio: asyncio.gather(return_exceptions=True), lambda

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

type Listener<T, E> = Arc<dyn Fn(T) -> BoxFuture<'static, Result<(), E>> + Send + Sync>;

/// The listeners of each event, by a number that counts up with each subscription, and
/// whether they are for one event only.
type Listeners<T, E> = HashMap<String, BTreeMap<u64, (Listener<T, E>, bool)>>;

/// Calls async listeners when something happens. Clones share the listeners.
///
/// Each listener gets a clone of the data; put large data into an `Arc`. Listeners may
/// themselves emit, subscribe and unsubscribe, through a [`WeakEmitter`]. `E` is most
/// simply `Box<dyn Error + Send + Sync>`.
pub struct EventEmitter<T, E>(Arc<Shared<T, E>>);

/// A handle that does not keep the emitter alive. Give it to a listener that emits: an
/// [`EventEmitter`] would be a reference cycle.
pub struct WeakEmitter<T, E>(Weak<Shared<T, E>>);

struct Shared<T, E> {
    listeners: Mutex<Listeners<T, E>>,
    subscribed: AtomicU64,
}

/// Keeps a listener subscribed; dropping it unsubscribes the listener. A running call
/// keeps running.
#[must_use = "dropping it unsubscribes the listener immediately"]
pub struct Subscription(Option<Box<dyn FnOnce() + Send + Sync>>);

impl<T, E> EventEmitter<T, E>
where
    T: Clone + Send + 'static,
    E: From<JoinError> + Send + 'static,
{
    /// Subscribes the listener to the event until the subscription is dropped.
    pub fn on<F, Fut>(&self, event: &str, listener: F) -> Subscription
    where
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
    {
        self.subscribe(event, Arc::new(move |data| listener(data).boxed()), false)
    }

    /// Subscribes the listener until the next emit of the event, which calls it once.
    pub fn once<F, Fut>(&self, event: &str, listener: F) -> Subscription
    where
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
    {
        self.subscribe(event, Arc::new(move |data| listener(data).boxed()), true)
    }

    fn subscribe(
        &self,
        event: &str,
        listener: Listener<T, E>,
        once: bool,
    ) -> Subscription {
        let event = event.to_owned();
        let mut listeners = self.0.lock();
        // Counted under the lock, so that the numbers are in the order of subscription.
        let number = self.0.subscribed.fetch_add(1, Relaxed);
        let of_event = listeners.entry(event.clone()).or_default();
        of_event.insert(number, (listener, once));
        drop(listeners);

        // Weak: a subscription that is kept somewhere does not keep the emitter alive.
        let weak = self.downgrade();
        let unsubscribe = move || {
            let Some(emitter) = weak.upgrade() else {
                return;
            };
            let mut listeners = emitter.0.lock();
            let Some(of_event) = listeners.get_mut(&event) else {
                return;
            };
            let removed = of_event.remove(&number);
            if of_event.is_empty() {
                listeners.remove(&event);
            }
            // The lock first: the listener may own another subscription, and dropping
            // that one takes the lock.
            drop(listeners);
            drop(removed);
        };
        Subscription(Some(Box::new(unsubscribe)))
    }

    /// Calls all listeners of the event concurrently, waits for them, and returns their
    /// errors in the order of subscription. A panic counts as an error. Dropping the
    /// future aborts the listeners.
    #[must_use = "the listeners' errors are not told elsewhere"]
    pub async fn emit(&self, event: &str, data: T) -> Vec<E> {
        let calls = self.0.called_by(event).into_iter().map(|listener| {
            let data = data.clone();
            AbortOnDropHandle::new(tokio::spawn(async move { listener(data).await }))
        });
        let mut errors = Vec::new();
        for ended in join_all(calls).await {
            errors.extend(ended.unwrap_or_else(|panic| Err(panic.into())).err());
        }
        errors
    }
}

impl<T, E> EventEmitter<T, E> {
    /// Returns a handle for listeners, which does not keep the emitter alive.
    pub fn downgrade(&self) -> WeakEmitter<T, E> {
        WeakEmitter(Arc::downgrade(&self.0))
    }
}

impl<T, E> WeakEmitter<T, E> {
    /// Returns the emitter, or `None` when its last clone was dropped.
    pub fn upgrade(&self) -> Option<EventEmitter<T, E>> {
        self.0.upgrade().map(EventEmitter)
    }
}

impl<T, E> fmt::Debug for EventEmitter<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventEmitter")
    }
}

impl<T, E> fmt::Debug for WeakEmitter<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakEmitter")
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subscription")
    }
}

impl<T, E> Default for EventEmitter<T, E> {
    fn default() -> Self {
        Self(Arc::new(Shared {
            listeners: Mutex::default(),
            subscribed: AtomicU64::new(0),
        }))
    }
}

impl<T, E> Clone for EventEmitter<T, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T, E> Clone for WeakEmitter<T, E> {
    fn clone(&self) -> Self {
        Self(Weak::clone(&self.0))
    }
}

impl Subscription {
    /// Keeps the listener subscribed until the last clone of the emitter is dropped. If
    /// the listener owns such a clone, that never happens, and both leak.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(unsubscribe) = self.0.take() {
            unsubscribe();
        }
    }
}

impl<T, E> Shared<T, E> {
    /// No caller's code runs while the lock is held, so a poisoned lock is harmless.
    fn lock(&self) -> MutexGuard<'_, Listeners<T, E>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the listeners of the event, and unsubscribes those of `once`.
    fn called_by(&self, event: &str) -> Vec<Listener<T, E>> {
        let mut listeners = self.lock();
        let Some(of_event) = listeners.get_mut(event) else {
            return Vec::new();
        };
        let called = of_event.values().map(|(listener, _)| Arc::clone(listener));
        let called = called.collect();
        of_event.retain(|_, (_, once)| !*once);
        if of_event.is_empty() {
            listeners.remove(event);
        }
        called
    }
}

/// Emits each argument to two listeners: `cargo run -- Ann Bo`.
#[tokio::main]
async fn main() {
    let emitter = EventEmitter::<_, Box<dyn std::error::Error + Send + Sync>>::default();
    let greet = async |name| {
        println!("Hello, {name}!");
        Ok(())
    };
    let check = async |name: String| match name.len() {
        3.. => Ok(()),
        _ => Err(format!("{name} is too short").into()),
    };
    let first = async |name| {
        println!("The first is {name}.");
        Ok(())
    };
    emitter.once("name", first).keep();
    emitter.on("name", greet).keep();
    emitter.on("name", check).keep();
    for name in std::env::args().skip(1) {
        for error in emitter.emit("name", name).await {
            println!("A listener failed: {error}");
        }
    }
}

//@ try: Ann Bo -> Bo is too short
