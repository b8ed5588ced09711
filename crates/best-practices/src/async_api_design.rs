//! Design an async API: a trait with async methods, `Send`, `dyn`, and cancel safety.
//!
//! In the trait, declare a method as `-> impl Future + Send`; in its implementations,
//! write `async fn`. Then callers may spawn the method's future.
//!
//! Such a trait cannot be used as `dyn`. So if callers need a list of different types,
//! write a second trait whose methods return boxed futures, such as `DynStore` below.
//! Implement the second trait once, for all types that implement the first.
//!
//! Keep data that must survive a cancellation in `self`, not in the future, as `Batches`
//! does. Do not spawn tasks in your methods: leave that to the caller.
//!
//! Trap: If you declare a trait method as `async fn`, a function that is generic over the
//! trait cannot spawn the method's future: "future cannot be sent between threads
//! safely". Such a declaration does not promise `Send`. Declare `-> impl Future + Send`,
//! as above.
//!
//! Trap: If you keep an array of 16 KiB across an await, your future is 16 KiB larger,
//! and so is each future that awaits it. A future holds all values that live across an
//! await. Keep large buffers in a `Vec`.
//!
//! See also: `dyn_async_trait`, `boxed_futures`, `cancel_safety`, `unit_testing`.
//!
//! asyncio: async def, await, asyncio.timeout

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A store of names. A type implements `get` as an `async fn`.
pub trait Store: Send + Sync {
    /// Returns the name. Dropping the future has no effect on the store.
    fn get(&self, id: u32) -> impl Future<Output = Option<String>> + Send;
}

/// The same for `dyn`: each `Store` is a `DynStore`. A call allocates a box.
pub trait DynStore: Send + Sync {
    /// As [`Store::get`].
    fn get_boxed(&self, id: u32) -> BoxFuture<'_, Option<String>>;
}

impl<S: Store> DynStore for S {
    fn get_boxed(&self, id: u32) -> BoxFuture<'_, Option<String>> {
        self.get(id).boxed()
    }
}

/// Starts a lookup in the background, which the promise of `Send` allows.
pub fn prefetch<S: Store + 'static>(
    store: Arc<S>,
    id: u32,
) -> JoinHandle<Option<String>> {
    tokio::spawn(async move { store.get(id).await })
}

/// Collects events in batches.
pub struct Batches {
    events: mpsc::Receiver<u32>,
    size: usize,
    batch: Vec<u32>,
}

impl Batches {
    /// Waits for a full batch. After the last event, returns what is left, and then
    /// `None`.
    ///
    /// Cancel safe: a dropped future loses no event, as the begun batch lies in `self`.
    pub async fn next(&mut self) -> Option<Vec<u32>> {
        while self.batch.len() < self.size {
            match self.events.recv().await {
                Some(event) => self.batch.push(event),
                None if self.batch.is_empty() => return None,
                None => break,
            }
        }
        Some(std::mem::take(&mut self.batch))
    }

    /// Returns batches of this size, which is at least 1.
    pub fn new(events: mpsc::Receiver<u32>, size: usize) -> Self {
        let (size, batch) = (size.max(1), Vec::new());
        Self {
            events,
            size,
            batch,
        }
    }
}

struct Memory;

impl Store for Memory {
    async fn get(&self, id: u32) -> Option<String> {
        (id == 1).then(|| String::from("Ada"))
    }
}

struct Remote;

impl Store for Remote {
    async fn get(&self, id: u32) -> Option<String> {
        sleep(Duration::from_millis(100)).await;
        (id < 3).then(|| format!("User {id}"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    println!("A lookup in the background:");
    let found = prefetch(Arc::new(Remote), 2).await?;
    println!("{}", found.as_deref().unwrap_or("not found"));

    println!("Stores of different types:");
    let stores: [Box<dyn DynStore>; 2] = [Box::new(Memory), Box::new(Remote)];
    for store in &stores {
        let found = store.get_boxed(2).await;
        println!("{}", found.as_deref().unwrap_or("not found"));
    }

    println!("A wait for a batch times out, and the next one loses nothing:");
    let (sender, events) = mpsc::channel(8);
    let mut batches = Batches::new(events, 3);
    for event in [1, 2] {
        sender.send(event).await?;
    }
    if tokio::time::timeout(Duration::from_millis(100), batches.next())
        .await
        .is_err()
    {
        println!("timed out");
    }
    sender.send(3).await?;
    println!("{:?}", batches.next().await.unwrap_or_default());
    Ok(())
}
