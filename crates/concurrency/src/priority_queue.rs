//! A priority queue: the most urgent item first, ties in order of arrival.
//!
//! Tokio has none. Items stand in a `BTreeMap` under (priority, number of arrival), so
//! that equal priorities keep their order and items need not be comparable; on an
//! `asyncio.PriorityQueue` a tie compares the items, so put a counter between. One
//! semaphore counts the items and one the room; whoever has a permit finds an item or
//! room at once. The trap of a bound: an urgent item that waits for room waits its turn
//! behind less urgent ones. A stack, as `asyncio.LifoQueue`, is such a queue with the
//! number of the arrival in `Reverse` as its priority. The crate `async-priority-channel`
//! does more: it has a sender and a receiver, and closes by itself when the last of
//! either is gone.
//!
//! asyncio: asyncio.PriorityQueue, asyncio.Queue.put, asyncio.Queue.get
//! asyncio: asyncio.Queue.qsize, asyncio.LifoQueue

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

/// A queue that gives the smallest priority first, for any number of producers and
/// consumers, which share it by reference or in an `Arc`.
///
/// Each item is given to one consumer. Consumers that wait are served in the order of
/// their arrival, and so are producers that wait for room, whatever the priority of their
/// items. An item of low priority can wait for ever while more urgent ones keep coming.
#[derive(Debug)]
pub struct PriorityQueue<P, T> {
    state: Mutex<State<P, T>>,
    /// A permit for each item that nobody has claimed.
    items: Semaphore,
    /// A permit for each place that nobody has claimed.
    room: Semaphore,
}

#[derive(Debug)]
struct State<P, T> {
    waiting: BTreeMap<(P, u64), T>,
    /// How many items have come so far.
    arrived: u64,
    closed: bool,
}

/// The queue is closed; holds the item that could not be put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed<T>(pub T);

impl<T> fmt::Display for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is closed")
    }
}

impl<T: fmt::Debug> Error for Closed<T> {}

impl<P: Ord, T> PriorityQueue<P, T> {
    /// Makes a queue that holds up to `capacity` items.
    ///
    /// # Panics
    ///
    /// When `capacity` is 0, for nothing could ever be put, or more than
    /// [`Semaphore::MAX_PERMITS`].
    pub fn bounded(capacity: usize) -> Self {
        assert!(capacity > 0, "a queue needs room for an item");
        let state = State {
            waiting: BTreeMap::new(),
            arrived: 0,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            items: Semaphore::new(0),
            room: Semaphore::new(capacity),
        }
    }

    /// Makes a queue in which there is always room.
    pub fn unbounded() -> Self {
        Self::bounded(Semaphore::MAX_PERMITS)
    }

    /// Puts an item, once there is room for it.
    ///
    /// Dropped before it is ready, it has put nothing and the item is dropped with it.
    ///
    /// # Errors
    ///
    /// When the queue is closed, before or during the wait; the item comes back.
    ///
    /// # Panics
    ///
    /// When comparing the priorities does; the item is dropped and the queue goes on.
    pub async fn put(&self, priority: P, item: T) -> Result<(), Closed<T>> {
        let Ok(place) = self.room.acquire().await else {
            return Err(Closed(item));
        };
        let mut state = self.lock();
        // It may have been closed, and emptied, since there was room.
        if state.closed {
            return Err(Closed(item));
        }
        let number = state.arrived;
        state.waiting.insert((priority, number), item);
        state.arrived += 1;
        drop(state);
        // The place is the item's now, and goes back when the item is taken. Until here
        // a panic gives it back.
        place.forget();
        self.items.add_permits(1);
        Ok(())
    }

    /// Takes the most urgent item and its priority, once there is one; of equally urgent
    /// ones the oldest. `None` when the queue is closed and empty.
    ///
    /// Dropped before it is ready, it has taken nothing.
    pub async fn get(&self) -> Option<(P, T)> {
        // After the close there are no permits any more, and what is left is free to all.
        if let Ok(claim) = self.items.acquire().await {
            claim.forget();
        }
        let ((priority, _), item) = self.lock().waiting.pop_first()?;
        self.room.add_permits(1);
        Some((priority, item))
    }

    /// Lets nothing more in. Who waits in [`put`](Self::put) gets the item back; what is
    /// in the queue can still be taken. Closing twice does nothing.
    pub fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.items.close();
    }

    /// How many items there are now.
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// A map whose keys panic when they are compared inserts nothing, so a poisoned lock
    /// holds nothing half-done.
    fn lock(&self) -> MutexGuard<'_, State<P, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Jobs = PriorityQueue<u32, &'static str>;

async fn work(jobs: Arc<Jobs>) {
    while let Some((priority, job)) = jobs.get().await {
        println!("{job} (priority {priority})");
        sleep(Duration::from_millis(100)).await;
    }
    println!("No more work");
}

async fn submit(
    jobs: Arc<Jobs>,
    priority: u32,
    job: &'static str,
) -> Result<(), Closed<&'static str>> {
    jobs.put(priority, job).await?;
    println!("Accepted: {job}");
    Ok(())
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("The most urgent first, ties in order of arrival:");
    let jobs = Arc::new(Jobs::unbounded());
    submit(Arc::clone(&jobs), 2, "write the report").await?;
    submit(Arc::clone(&jobs), 3, "tidy up").await?;
    submit(Arc::clone(&jobs), 1, "put the fire out").await?;
    submit(Arc::clone(&jobs), 2, "answer the mail").await?;
    let worker = tokio::spawn(work(Arc::clone(&jobs)));
    sleep(Duration::from_millis(150)).await;
    submit(Arc::clone(&jobs), 1, "call for help").await?;
    jobs.close();
    worker.await?;

    println!("A full queue, where the urgent job waits its turn to come in:");
    let jobs = Arc::new(Jobs::bounded(2));
    submit(Arc::clone(&jobs), 2, "write the report").await?;
    submit(Arc::clone(&jobs), 3, "tidy up").await?;
    let later = tokio::spawn(submit(Arc::clone(&jobs), 4, "read the news"));
    sleep(Duration::from_millis(50)).await;
    let urgent = tokio::spawn(submit(Arc::clone(&jobs), 1, "put the fire out"));
    sleep(Duration::from_millis(50)).await;
    println!("{} jobs wait inside", jobs.len());
    let worker = tokio::spawn(work(Arc::clone(&jobs)));
    later.await??;
    urgent.await??;
    jobs.close();
    worker.await?;

    println!("The newest first:");
    let stack = PriorityQueue::unbounded();
    for (number, page) in ["home", "news", "sport"].into_iter().enumerate() {
        stack.put(Reverse(number), page).await?;
    }
    stack.close();
    while let Some((_, page)) = stack.get().await {
        println!("back to {page}");
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
