//! A bounded queue with condition variables: one lock, `not_empty` and `not_full`.
//!
//! An `asyncio.Condition` is a lock and its wake-ups in one. Here a std `Mutex` holds the
//! items, and two `Notify` wake the waiting consumers and producers. If a woken waiter is
//! dropped, `Notify` wakes the next one. On several threads a consumer may already work
//! on an item when its `put` returns.
//!
//! Trap: wake-ups are lost between checking the condition and waiting. `notify_one` keeps
//! one permit, so the second of two calls is lost. `notify_waiters` keeps none. Call
//! `enable` on the `Notified` first, then check, then wait, and check again when woken.
//!
//! In production: `async-channel` closes when its last sender or receiver is gone, and
//! its receiver is a stream.
//!
//! See also: `many_producers_many_consumers`, `queue_shutdown`, `event`.
//!
//! asyncio: asyncio.Condition, asyncio.Condition.wait_for, asyncio.Condition.notify_all
//! asyncio: asyncio.Condition.notify, asyncio.Condition.wait
//! order: Produced

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};

/// A first-in, first-out queue. Any number of producers and consumers share it by
/// reference or in an `Arc`.
///
/// Each item goes to one consumer. Waiters are woken first come, first served, but a
/// caller that arrives at that moment may be quicker. The woken waiter then waits again,
/// behind the others.
#[derive(Debug)]
pub struct ConditionQueue<T> {
    capacity: usize,
    state: Mutex<State<T>>,
    not_empty: Notify,
    not_full: Notify,
}

#[derive(Debug)]
pub struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

/// The queue is closed; this is the item that was not put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed<T>(pub T);

impl<T> fmt::Display for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is closed")
    }
}

impl<T: fmt::Debug> Error for Closed<T> {}

impl<T> ConditionQueue<T> {
    /// Returns a queue that holds up to `capacity` items.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a queue without places takes no item");
        let state = State {
            items: VecDeque::new(),
            closed: false,
        };
        Self {
            capacity,
            state: Mutex::new(state),
            not_empty: Notify::new(),
            not_full: Notify::new(),
        }
    }

    /// Waits until there is a free place, and appends the item.
    ///
    /// Cancel safety: dropping the future drops the item, and nothing has been put.
    ///
    /// # Errors
    ///
    /// Returns the item if the queue is closed before or during the wait.
    pub async fn put(&self, item: T) -> Result<(), Closed<T>> {
        let mut item = Some(item);
        self.wait_for(&self.not_full, |state| {
            if state.closed {
                return item.take().map(|item| Err(Closed(item)));
            }
            if state.items.len() >= self.capacity {
                return None;
            }
            state.items.push_back(item.take()?);
            Some(Ok(()))
        })
        .await?;
        self.not_empty.notify_one();
        Ok(())
    }

    /// Waits until there is an item, and returns the oldest. Returns `None` if the queue
    /// is closed and empty.
    ///
    /// Cancel safety: dropping the future loses nothing.
    pub async fn get(&self) -> Option<T> {
        let item =
            self.wait_for(&self.not_empty, |state| match state.items.pop_front() {
                Some(item) => Some(Some(item)),
                None if state.closed => Some(None),
                None => None,
            });
        let item = item.await?;
        self.not_full.notify_one();
        Some(item)
    }

    /// Calls `check` under the lock, now and after each wake-up, until it returns
    /// something. `check` must take the item itself: the lock is released afterwards.
    pub(crate) async fn wait_for<R>(
        &self,
        condition: &Notify,
        mut check: impl FnMut(&mut State<T>) -> Option<R>,
    ) -> R {
        loop {
            let mut woken = pin!(condition.notified());
            // In line before the check: a change after the check wakes this waiter.
            woken.as_mut().enable();
            if let Some(found) = check(&mut self.lock()) {
                return found;
            }
            woken.await;
        }
    }

    /// Refuses further items, also those that wait in [`put`](Self::put). The items in
    /// the queue can still be taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.not_empty.notify_waiters();
        self.not_full.notify_waiters();
    }

    /// Returns the number of items.
    pub fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Returns whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.lock().items.is_empty()
    }

    /// No critical section leaves a change half-done, so a poisoned lock is harmless.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn produce(queue: Arc<ConditionQueue<String>>) {
    for number in 0..6 {
        sleep(Duration::from_millis(100)).await;
        if !produce_one(&queue, &format!("item-{number}")).await {
            return;
        }
    }
    queue.close();
}

/// Puts an item, and returns whether the queue took it.
async fn produce_one(queue: &ConditionQueue<String>, item: &str) -> bool {
    match queue.put(String::from(item)).await {
        Ok(()) => println!("Produced {item}"),
        Err(Closed(item)) => {
            println!("Nobody takes {item} any more");
            return false;
        }
    }
    true
}

async fn consume(name: &'static str, busy: u64, queue: Arc<ConditionQueue<String>>) {
    while let Some(item) = queue.get().await {
        println!("Consumer {name} got {item}");
        sleep(Duration::from_millis(busy)).await;
    }
    println!("Consumer {name} is done");
}

async fn get_or_give_up(queue: Arc<ConditionQueue<String>>) {
    if timeout(Duration::from_millis(100), queue.get())
        .await
        .is_err()
    {
        println!("Consumer A timed out");
    }
}

pub async fn run() -> Result<(), JoinError> {
    println!("Slow consumers hold the producer up:");
    let queue = Arc::new(ConditionQueue::new(2));
    let consumer_a = tokio::spawn(consume("A", 500, Arc::clone(&queue)));
    sleep(Duration::from_millis(50)).await;
    let consumer_b = tokio::spawn(consume("B", 350, Arc::clone(&queue)));
    produce(queue).await;
    consumer_a.await?;
    consumer_b.await?;

    println!("The first in line gives up:");
    let queue = Arc::new(ConditionQueue::new(2));
    let first = tokio::spawn(get_or_give_up(Arc::clone(&queue)));
    sleep(Duration::from_millis(50)).await;
    let second = tokio::spawn(consume("B", 100, Arc::clone(&queue)));
    first.await?;
    sleep(Duration::from_millis(100)).await;
    produce_one(&queue, "late item").await;
    queue.close();
    second.await?;

    println!("A producer that waits for room when the queue is closed:");
    let queue = Arc::new(ConditionQueue::new(2));
    let producer = tokio::spawn(produce(Arc::clone(&queue)));
    sleep(Duration::from_millis(500)).await;
    println!("Closing with {} items", queue.len());
    queue.close();
    producer.await?;
    if !queue.is_empty() {
        consume("C", 100, queue).await;
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
