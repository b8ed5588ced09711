//! Model checking with shuttle: find a race or a lost wake-up by trying every order.
//!
//! asyncio switches tasks only at an await. Tokio's threads switch between any two lines.
//! Write a small program, the model, that uses your code. The crate `shuttle` runs the
//! model in every order of its steps (`check_dfs`), or in random orders (`check_random`).
//! In Cargo.toml, `tokio = { package = "shuttle-tokio", .. }` replaces Tokio.
//!
//! The queue in this file wakes its consumers with a `Notify`, a signal to waiting tasks
//! like `asyncio.Condition`. A wake-up may be lost if it comes before the task is
//! registered as waiting; then the task waits forever. So `get` below first calls
//! `enable()`, which registers the task. Then it looks into the queue, and awaits the
//! signal only if the queue is empty (see `condition_queue`).
//!
//! Trap: If your code uses `Mutex` or atomics of `std`, shuttle does not find a race in
//! them. Use the types of `shuttle::sync`.
//!
//! Trap: If the model calls `Notify::notify_one`, `check_dfs` panics with "requested
//! random data from DFS scheduler", because shuttle picks the waiter by chance. Run the
//! model with a `shuttle::Runner` and `DfsScheduler::new(None, true)`, which allows
//! random data.
//!
//! Trap: If you forget `enable()`, a wake-up between the look into the queue and the
//! await may be lost. Call `enable()` each time before you look. Shuttle does not find
//! this mistake by itself, because it never switches tasks between the look and the
//! await. To let shuttle find it, put `shuttle::thread::sleep(Duration::ZERO)` before the
//! await: there shuttle switches.
//!
//! See also: `property_test`, `deterministic_simulation`, `lost_update`.
//!
//! asyncio: asyncio.Condition, asyncio.Condition.wait_for, asyncio.Condition.notify_all

use std::collections::VecDeque;
use std::sync::Arc;

use shuttle::future;
use shuttle::sync::Mutex;
use shuttle_tokio::sync::Notify;

/// A queue for many consumers, which can be closed.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    pub(crate) changed: Notify,
}

#[derive(Default)]
struct State {
    items: VecDeque<u32>,
    closed: bool,
}

impl Queue {
    /// Appends an item and wakes one consumer.
    pub fn put(&self, item: u32) {
        self.state.lock().expect("no panic").items.push_back(item);
        self.changed.notify_one();
    }

    /// Informs all waiting consumers that no more items come.
    pub fn close(&self) {
        self.state.lock().expect("no panic").closed = true;
        self.changed.notify_waiters();
    }

    /// Waits for an item and returns the oldest; `None` if the queue is closed and empty.
    pub async fn get(&self) -> Option<u32> {
        loop {
            // Registers before the look: a wake-up after it is not lost.
            let mut woken = std::pin::pin!(self.changed.notified());
            woken.as_mut().enable();
            if let Some(found) = self.look() {
                return found;
            }
            woken.await;
        }
    }

    /// The bug: a wake-up between the look and the wait is lost.
    pub async fn look_then_wait(&self) -> Option<u32> {
        loop {
            if let Some(found) = self.look() {
                return found;
            }
            self.changed.notified().await;
        }
    }

    pub(crate) fn look(&self) -> Option<Option<u32>> {
        let mut state = self.state.lock().expect("no panic");
        let item = state.items.pop_front();
        (item.is_some() || state.closed).then_some(item)
    }
}

/// The model: each consumer gets one item. Panics if an item is lost, comes twice, or is
/// skipped for a newer one. If all tasks wait forever, shuttle panics.
pub fn model(
    consumers: u32,
    items: u32,
    get: impl AsyncFn(&Queue) -> Option<u32> + Copy + 'static,
) {
    let queue = Arc::new(Queue::default());
    let spawn = |_| {
        let queue = Arc::clone(&queue);
        future::spawn_local(async move { get(&queue).await })
    };
    let tasks: Vec<_> = (0..consumers).map(spawn).collect();
    (0..items).for_each(|item| queue.put(item));
    queue.close();
    let taken = tasks.into_iter().map(future::block_on);
    let mut taken: Vec<_> = taken.flatten().flatten().collect();
    taken.sort_unstable();
    assert!(taken.into_iter().eq(0..items.min(consumers)));
}

/// Tries 1000 random orders, as a test would. Panics at the first order that fails.
pub fn main() {
    shuttle::check_random(|| model(2, 4, Queue::get), 1000);
    println!("1000 orders pass");
}

//@ stderr: deadlock
//@ stderr: fail
//@ stderr: panicked
//@ twin: none (asyncio switches only at an await, so there are no such orders to try)
//@ try: -> 1000 orders pass
