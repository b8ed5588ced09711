//! A priority queue: the most urgent item first, ties in order of arrival.
//!
//! Tokio has none. A `BTreeMap` holds the items by priority and number of arrival: equal
//! priorities keep their order, and items need not be comparable. (An
//! `asyncio.PriorityQueue` compares the items of a tie, so Python programs put a counter
//! before the item.) One semaphore counts the items, another the free places. For a
//! stack, `asyncio.LifoQueue`, use `Reverse(n)` as the priority of the nth item.
//!
//! Trap: if a bounded queue is full, an urgent item waits for a place behind less urgent
//! ones. Waiting producers are served first come, first served.
//!
//! In production: `async-priority-channel` takes the largest priority first and keeps no
//! order among ties. It closes when the last sender or receiver is gone.
//!
//! See also: `condition_queue`, `many_producers_many_consumers`.
//!
//! asyncio: asyncio.PriorityQueue, asyncio.Queue.put, asyncio.Queue.get
//! asyncio: asyncio.Queue.qsize, asyncio.LifoQueue
//! order: Accepted

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

/// A queue that returns the item with the smallest priority first. Any number of
/// producers and consumers share it by reference or in an `Arc`.
///
/// Each item goes to one consumer. Waiting consumers are served first come, first served,
/// and so are producers that wait for a free place, whatever the priority of their items.
/// An item can wait for ever while more urgent ones keep coming.
#[derive(Debug)]
pub struct PriorityQueue<P, T> {
    state: Mutex<State<P, T>>,
    /// A permit for each item that no consumer has claimed.
    items: Semaphore,
    /// A permit for each place that no producer has claimed.
    room: Semaphore,
}

#[derive(Debug)]
struct State<P, T> {
    waiting: BTreeMap<(P, u64), T>,
    /// How many items have come so far.
    arrived: u64,
    closed: bool,
}

/// The queue is closed. Holds the item that was not put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed<T>(pub T);

impl<T> fmt::Display for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is closed")
    }
}

impl<T: fmt::Debug> Error for Closed<T> {}

impl<P: Ord, T> PriorityQueue<P, T> {
    /// Returns a queue that holds up to `capacity` items.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0 or more than [`Semaphore::MAX_PERMITS`].
    pub fn bounded(capacity: usize) -> Self {
        assert!(capacity > 0, "a queue without places takes no item");
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

    /// Returns a queue that is never full. Its memory grows with the number of items.
    pub fn unbounded() -> Self {
        Self::bounded(Semaphore::MAX_PERMITS)
    }

    /// Waits until there is a free place, and puts the item there.
    ///
    /// Cancel safety: dropping the future drops the item and leaves the queue unchanged.
    ///
    /// # Errors
    ///
    /// Returns the item if the queue is closed before or during the wait.
    ///
    /// # Panics
    ///
    /// If comparing the priorities does. The item is dropped, and the queue works on.
    /// `Ord` of a priority runs while the queue is locked, so it must not use the queue.
    pub async fn put(&self, priority: P, item: T) -> Result<(), Closed<T>> {
        let Ok(place) = self.room.acquire().await else {
            return Err(Closed(item));
        };
        let mut key = (priority, 0);
        let mut state = self.lock();
        // The queue may have been closed, and emptied, since the permit was acquired.
        if state.closed {
            return Err(Closed(item));
        }
        key.1 = state.arrived;
        // Compares before it takes anything: after a panic the lock is released first,
        // and `Drop` of the priority and of the item may use the queue.
        assert!(!state.waiting.contains_key(&key), "each has its number");
        state.waiting.insert(key, item);
        state.arrived += 1;
        drop(state);
        // From here on `get` releases the place. Until here a panic does.
        place.forget();
        self.items.add_permits(1);
        Ok(())
    }

    /// Waits for an item. Returns the most urgent one with its priority; of equals, the
    /// oldest. Returns `None` if the queue is closed and empty.
    ///
    /// Cancel safety: dropping the future loses nothing.
    pub async fn get(&self) -> Option<(P, T)> {
        // A closed semaphore has no permits: each consumer may take an item that is left.
        if let Ok(claim) = self.items.acquire().await {
            claim.forget();
        }
        let ((priority, _), item) = self.lock().waiting.pop_first()?;
        self.room.add_permits(1);
        Some((priority, item))
    }

    /// Closes the queue. It refuses further items, also those of callers that wait in
    /// [`put`](Self::put). Items in the queue can still be taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.items.close();
    }

    /// Returns the number of items.
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Returns whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    /// A comparison that panics leaves the map as it was, so a poisoned lock is harmless.
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

    println!(
        "A full queue, where the urgent job waits behind an earlier one for a place:"
    );
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

    println!("Two workers, which both end:");
    let jobs = Arc::new(Jobs::unbounded());
    let first = tokio::spawn(work(Arc::clone(&jobs)));
    sleep(Duration::from_millis(50)).await;
    let second = tokio::spawn(work(Arc::clone(&jobs)));
    submit(Arc::clone(&jobs), 1, "put the fire out").await?;
    sleep(Duration::from_millis(100)).await;
    jobs.close();
    first.await?;
    second.await?;

    println!("The newest first:");
    let stack = PriorityQueue::unbounded();
    for (number, page) in ["home", "news", "sport"].into_iter().enumerate() {
        stack.put(Reverse(number), page).await?;
    }
    while !stack.is_empty() {
        if let Some((_, page)) = stack.get().await {
            println!("back to {page}");
        }
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
