//! A bounded queue with condition variables: one lock, `not_empty` and `not_full`.
//!
//! An `asyncio.Condition` is a lock and its wake-ups in one. Here a std `Mutex` holds the
//! items, and two `Notify` wake the waiting consumers and producers. If a woken waiter is
//! dropped, `Notify` wakes the next one. On several threads, a consumer may take an item
//! before the `put` of this item returns.
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
//! try: a b -> worker 1 got b

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::mpsc::error::SendError;

/// A first-in, first-out queue for any number of producers and consumers.
///
/// Waiters are woken first come, first served, but a caller that arrives at that moment
/// may be quicker. The woken waiter then waits again, behind the others.
pub struct ConditionQueue<T> {
    capacity: usize,
    state: Mutex<State<T>>,
    not_empty: Notify,
    not_full: Notify,
}

pub struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

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
    /// Dropping the future drops the item and leaves the queue unchanged.
    ///
    /// # Errors
    ///
    /// Returns the item if the queue is closed before or during the wait.
    pub async fn put(&self, item: T) -> Result<(), SendError<T>> {
        let mut item = Some(item);
        self.wait_for(&self.not_full, |state| {
            if state.closed {
                return item.take().map(|item| Err(SendError(item)));
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
        let item = self.wait_for(&self.not_empty, |state| {
            let item = state.items.pop_front();
            (item.is_some() || state.closed).then_some(item)
        });
        let item = item.await?;
        self.not_full.notify_one();
        Some(item)
    }

    /// Calls `check` under the lock, now and after each wake-up, until it returns `Some`.
    /// `check` must add or take the item itself: the lock is released afterwards.
    pub(crate) async fn wait_for<R>(
        &self,
        condition: &Notify,
        mut check: impl FnMut(&mut State<T>) -> Option<R>,
    ) -> R {
        loop {
            let mut woken = pin!(condition.notified());
            // Registers this waiter before the check, so that a later change wakes it.
            woken.as_mut().enable();
            if let Some(found) = check(&mut self.lock()) {
                return found;
            }
            woken.await;
        }
    }

    /// Closes the queue. It refuses further items, also those of callers that wait in
    /// [`put`](Self::put). Items in the queue can still be taken.
    pub fn close(&self) {
        self.lock().closed = true;
        self.not_empty.notify_waiters();
        self.not_full.notify_waiters();
    }

    /// No critical section leaves a change half-done, so a poisoned lock is harmless.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands each argument to one of two workers: `cargo run -- a b`.
#[tokio::main]
pub async fn main() -> Result<(), SendError<String>> {
    let queue = ConditionQueue::new(1);
    let work = async |worker: u32| {
        while let Some(item) = queue.get().await {
            println!("worker {worker} got {item}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let put_all = async {
        for item in std::env::args().skip(1) {
            queue.put(item).await?;
        }
        queue.close();
        Ok(())
    };
    tokio::join!(put_all, work(0), work(1)).0
}
