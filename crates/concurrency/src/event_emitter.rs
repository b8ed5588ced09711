//! An event emitter: async listeners (callbacks) by event, unsubscribing, a time limit.
//!
//! A dict of lists of callbacks becomes a map of boxed functions that return a future.
//! Awaited in a row, a slow listener holds up the rest and one that fails keeps the event
//! from them. Here each runs in a task, so that a panic stays in it too, and `emit`
//! returns what went wrong, like `gather(return_exceptions=True)`. The trap: a listener
//! stays as long as its `Subscription` is kept, so `let _ = emitter.on(..)` ends it at
//! once. The crate `async-broadcast` does more, without callbacks: receivers that are
//! streams, and a sender that waits for slow ones.
//!
//! asyncio: asyncio.gather(return_exceptions=True), asyncio.wait_for, lambda

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

type Listener<T, E> = Arc<dyn Fn(T) -> BoxFuture<'static, Result<(), E>> + Send + Sync>;

/// The listeners of each event, by a number that counts up with each subscription.
type Listeners<T, E> = HashMap<String, BTreeMap<u64, Listener<T, E>>>;

/// Calls async listeners when something happens. Clones share the listeners.
///
/// Each listener gets a clone of the data; put large data into an `Arc`. Listeners may
/// themselves emit, subscribe and unsubscribe.
pub struct EventEmitter<T, E> {
    shared: Arc<Mutex<Shared<T, E>>>,
    limit: Duration,
}

struct Shared<T, E> {
    listeners: Listeners<T, E>,
    subscribed: u64,
}

/// Keeps a listener subscribed; dropping it unsubscribes the listener. Calls that are
/// already under way go on.
#[must_use = "dropping it unsubscribes the listener at once"]
pub struct Subscription {
    unsubscribe: Option<Box<dyn FnOnce() + Send + Sync>>,
}

/// What went wrong in one listener.
#[derive(Debug)]
pub enum ListenerError<E> {
    /// It returned an error.
    Failed(E),
    /// It took longer than the emitter's limit, and was dropped at its await.
    TooSlow,
    /// It panicked; the message went to standard error.
    Panicked(JoinError),
}

impl<E: fmt::Display> fmt::Display for ListenerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::TooSlow => f.write_str("too slow"),
            Self::Panicked(error) => write!(f, "panicked: {error}"),
        }
    }
}

impl<T, E> EventEmitter<T, E>
where
    T: Clone + Send + 'static,
    E: Send + 'static,
{
    /// Makes an emitter that stops listeners which take longer than `limit`.
    /// [`Duration::MAX`] stands for no limit.
    pub fn new(limit: Duration) -> Self {
        let shared = Shared {
            listeners: HashMap::new(),
            subscribed: 0,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
            limit,
        }
    }

    /// Has the listener called with the data of each such event, until the subscription
    /// is dropped. Does not wait for anything.
    pub fn on<F, Fut>(&self, event: &str, listener: F) -> Subscription
    where
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
    {
        let listener: Listener<T, E> = Arc::new(move |data| listener(data).boxed());
        let mut shared = lock(&self.shared);
        let number = shared.subscribed;
        shared.subscribed += 1;
        shared
            .listeners
            .entry(event.to_owned())
            .or_default()
            .insert(number, listener);
        drop(shared);

        // Weak: a subscription that is kept somewhere does not keep the emitter alive.
        let shared = Arc::downgrade(&self.shared);
        let event = event.to_owned();
        let unsubscribe = move || {
            if let Some(shared) = shared.upgrade() {
                let removed = remove(&mut lock(&shared).listeners, &event, number);
                // Not before the lock is released: what the listener owns may be another
                // subscription, which takes the lock when it is dropped.
                drop(removed);
            }
        };
        Subscription {
            unsubscribe: Some(Box::new(unsubscribe)),
        }
    }

    /// Calls all listeners of the event at the same time and waits for them; returns what
    /// went wrong, in order of subscription.
    ///
    /// Those who are subscribed or unsubscribed meanwhile make no difference to the calls
    /// under way. Dropped before it is ready, it aborts the listeners that still run, at
    /// their next await; to let them finish, spawn the call in a task.
    #[must_use = "the listeners' errors are not told elsewhere"]
    pub async fn emit(&self, event: &str, data: T) -> Vec<ListenerError<E>> {
        let listeners: Vec<_> = match lock(&self.shared).listeners.get(event) {
            Some(listeners) => listeners.values().cloned().collect(),
            None => Vec::new(),
        };
        let limit = self.limit;
        let calls = listeners.into_iter().map(|listener| {
            let data = data.clone();
            let call = async move { timeout(limit, listener(data)).await };
            AbortOnDropHandle::new(tokio::spawn(call))
        });
        let mut errors = Vec::new();
        for ended in join_all(calls).await {
            match ended {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => errors.push(ListenerError::Failed(error)),
                Ok(Err(_elapsed)) => errors.push(ListenerError::TooSlow),
                Err(panic) => errors.push(ListenerError::Panicked(panic)),
            }
        }
        errors
    }
}

impl<T, E> Clone for EventEmitter<T, E> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            limit: self.limit,
        }
    }
}

impl Subscription {
    /// Keeps the listener subscribed for as long as there is the emitter.
    pub fn keep(mut self) {
        self.unsubscribe = None;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(unsubscribe) = self.unsubscribe.take() {
            unsubscribe();
        }
    }
}

/// No code of others runs while the lock is held, so nothing is left half-done.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remove<T, E>(
    listeners: &mut Listeners<T, E>,
    event: &str,
    number: u64,
) -> Option<Listener<T, E>> {
    let of_event = listeners.get_mut(event)?;
    let removed = of_event.remove(&number);
    if of_event.is_empty() {
        listeners.remove(event);
    }
    removed
}

async fn receive(data: String) -> Result<(), String> {
    println!("Received: {data}");
    Ok(())
}

async fn store(data: String) -> Result<(), String> {
    sleep(Duration::from_millis(100)).await;
    if data.len() > 12 {
        return Err(format!("no room for {data}"));
    }
    println!("Stored: {data}");
    Ok(())
}

/// Takes 50 ms for each letter.
async fn spell(data: String) -> Result<(), String> {
    sleep(Duration::from_millis(50) * data.len() as u32).await;
    println!("Spelt: {data}");
    Ok(())
}

async fn report(emitter: &EventEmitter<String, String>, event: &str, data: &str) {
    let errors = emitter.emit(event, data.to_owned()).await;
    for error in &errors {
        println!("A listener {error}");
    }
    println!("Emitted {data}: {} went wrong", errors.len());
}

pub async fn run() {
    let emitter = EventEmitter::new(Duration::from_millis(500));
    let receiving = emitter.on("data", receive);
    emitter.on("data", store).keep();
    emitter.on("data", spell).keep();
    // A closure may own something, and hands each call a part of it.
    let channel = Arc::new("news");
    let forwarding = emitter.on("alarm", move |data| {
        let channel = Arc::clone(&channel);
        async move { receive(format!("{data} ({channel})")).await }
    });

    println!("Three listeners:");
    report(&emitter, "data", "Hello").await;
    println!("One fails, and one is slower than half a second:");
    report(&emitter, "data", "Hello, World!").await;
    println!("One is unsubscribed:");
    drop(receiving);
    report(&emitter, "data", "Bye").await;
    println!("Another event, then nobody listens to it any more:");
    report(&emitter, "alarm", "Fire").await;
    drop(forwarding);
    report(&emitter, "alarm", "Fire").await;
}

#[tokio::main]
pub async fn main() {
    run().await;
}
