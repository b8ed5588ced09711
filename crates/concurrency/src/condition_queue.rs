//! A bounded queue with condition variables: one lock, `not_empty` and `not_full`.
//!
//! An `asyncio.Condition` is a lock and its wake-ups in one; here a std `Mutex` holds the
//! items and two `Notify` wake who waits for an item or for room. The traps are wake-ups
//! that are lost. One that comes between the look and the wait finds nobody, so get in
//! line first (`enable`), then look, then wait, and look again when woken. A waiter that
//! is woken and then dropped has to pass its wake-up on: `Notify` does that. The crate
//! `async-channel` does more: it closes when the last sender or receiver is gone, and its
//! receiver is a stream.
//!
//! asyncio: asyncio.Condition, asyncio.Condition.wait_for, asyncio.Condition.notify_all
//! asyncio: asyncio.Condition.notify, asyncio.Condition.wait

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};

/// A first-in, first-out queue for any number of producers and consumers, which share it
/// by reference or in an `Arc`.
///
/// Items leave in the order in which they came in, each exactly once. Those who wait are
/// woken in the order of their arrival, but a caller that comes just then may be quicker;
/// the woken one then waits again, behind the others. The design is the bounded buffer of
/// Hoare's monitors: one lock, and one condition for each side.
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

/// The queue is closed; holds the item that could not be put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed<T>(pub T);

impl<T> fmt::Display for Closed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is closed")
    }
}

impl<T: fmt::Debug> Error for Closed<T> {}

impl<T> ConditionQueue<T> {
    /// Makes a queue that holds up to `capacity` items.
    ///
    /// # Panics
    ///
    /// When `capacity` is 0: nothing could ever be put.
    pub fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a queue needs room for an item");
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

    /// Appends an item, once there is room for it.
    ///
    /// Dropped before it is ready, it has put nothing and the item is dropped with it.
    ///
    /// # Errors
    ///
    /// When the queue is closed, before or during the wait; the item comes back.
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

    /// Takes the oldest item, once there is one; `None` when the queue is closed and
    /// empty.
    ///
    /// Dropped before it is ready, it has taken nothing.
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

    /// Looks, under the lock, each time the condition is notified, until the look finds
    /// something. It must find it and take it in one; nothing is awaited after it.
    pub(crate) async fn wait_for<R>(
        &self,
        condition: &Notify,
        mut look: impl FnMut(&mut State<T>) -> Option<R>,
    ) -> R {
        loop {
            let mut woken = pin!(condition.notified());
            // In line before the look: whoever changes the state after it wakes us.
            woken.as_mut().enable();
            if let Some(found) = look(&mut self.lock()) {
                return found;
            }
            woken.await;
        }
    }

    /// Lets nothing more in. Who waits in [`put`](Self::put) gets the item back; what is
    /// in the queue can still be taken. Closing twice does nothing.
    pub fn close(&self) {
        self.lock().closed = true;
        self.not_empty.notify_waiters();
        self.not_full.notify_waiters();
    }

    /// How many items there are now.
    pub fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// No critical section leaves a change half-done, so a panic in one spoils nothing.
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

/// Puts an item; whether that went well.
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
    consume("C", 100, queue).await;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
