//! Model checking with shuttle: find a race or a lost wake-up by trying every order.
//!
//! asyncio switches tasks at an await only, Tokio's threads between any two lines.
//! shuttle runs a model on one thread and chooses before each step which task runs: in
//! every order (`check_dfs`), or at random (check_random). The code under test is
//! unchanged: in Cargo.toml, `tokio = { package = "shuttle-tokio", .. }` replaces Tokio.
//!
//! Trap: shuttle sees only its own types: a race in std's `Mutex` or atomics passes. It
//! switches before `notified()`, not before the first poll: a forgotten `enable` passes.
//!
//! Trap: `notify_one` picks a waiter by chance, so `check_dfs` panics ("requested random
//! data from DFS scheduler"). Pass `DfsScheduler::new(None, true)` to a `Runner`.
//!
//! In production: `loom` also tries weak memory orderings. See also: `property_test`.
//!
//! asyncio: asyncio.Condition, asyncio.Condition.wait_for, asyncio.Condition.notify_all
//! stderr: deadlock
//! stderr: fail
//! stderr: panicked
//! twin: none (asyncio switches only at an await, so there are no such orders to try)

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::scheduler::DfsScheduler;
use shuttle::sync::Mutex;
use shuttle::{Config, FailurePersistence, Runner, future};
// In a crate of yours, `use tokio::..` as ever.
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
        let mut state = self.state.lock().expect("nobody panics");
        state.items.push_back(item);
        drop(state);
        self.changed.notify_one();
    }

    /// Tells all waiting consumers that no more items come.
    pub fn close(&self) {
        self.state.lock().expect("nobody panics").closed = true;
        self.changed.notify_waiters();
    }

    /// Waits for an item and returns the oldest; `None` if the queue is closed and empty.
    pub async fn get(&self) -> Option<u32> {
        loop {
            // In line before the look: a wake-up after it is not lost.
            let mut woken = pin!(self.changed.notified());
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
        let mut state = self.state.lock().expect("nobody panics");
        let item = state.items.pop_front();
        (item.is_some() || state.closed).then_some(item)
    }
}

/// The model: the items are put, the queue is closed, and each consumer gets once.
///
/// # Panics
///
/// If an item is lost or comes twice, or a newer one is taken before an older one. If the
/// tasks wait for ever, shuttle panics.
pub fn model(
    consumers: u32,
    items: u32,
    get: impl AsyncFn(&Queue) -> Option<u32> + Copy + 'static,
) {
    let queue = Arc::new(Queue::default());
    let mut tasks = Vec::new();
    for _ in 0..consumers {
        let queue = Arc::clone(&queue);
        tasks.push(future::spawn_local(async move { get(&queue).await }));
    }
    (0..items).for_each(|item| queue.put(item));
    queue.close();
    let taken = tasks.into_iter().map(future::block_on);
    let mut taken: Vec<_> = taken.flatten().flatten().collect();
    taken.sort_unstable();
    assert!(
        taken.into_iter().eq(0..items.min(consumers)),
        "an item is lost or came twice"
    );
}

/// The outcome of a model.
pub struct Explored {
    /// How many orders were tried, up to the one that failed.
    pub orders: usize,
    /// The message of that one, and its schedule for `shuttle::replay`. If a task has
    /// panicked, there is a schedule only for the first model of a process, as shuttle
    /// sets its panic hook once.
    pub failure: Option<(String, Option<String>)>,
}

/// Tries a model in every order until one fails. In a model, a `sleep` may end at any
/// step, and a `timeout` expires only after `trigger_timeouts`.
///
/// This counts the orders and keeps the schedule. In a test, call `shuttle::check_dfs`,
/// which panics and prints the schedule. Keep the model small: one item more makes
/// 196 orders of 37.
///
/// # Errors
///
/// If no temporary folder can be made, through which the schedule comes.
pub fn explore(model: impl Fn() + Send + Sync + 'static) -> io::Result<Explored> {
    let dir = tempfile::tempdir()?;
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::File(Some(dir.path().into()));
    let orders = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&orders);
    let runner = Runner::new(DfsScheduler::new(None, true), config);
    let tried = catch_unwind(AssertUnwindSafe(|| {
        runner.run(move || {
            count.fetch_add(1, Ordering::Relaxed);
            model();
        })
    }));
    let failure = match tried {
        Ok(_) => None,
        Err(payload) => {
            // A message without values is a `&str`.
            let literal = payload
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned());
            let message = payload.downcast_ref().cloned().or(literal);
            let schedule = fs::read_to_string(dir.path().join("schedule000.txt"));
            Some((message.unwrap_or_default(), schedule.ok()))
        }
    };
    let orders = orders.load(Ordering::Relaxed);
    Ok(Explored { orders, failure })
}

fn report(explored: Explored) -> Option<String> {
    let Explored { orders, failure } = explored;
    let Some((message, schedule)) = failure else {
        println!("{orders} orders, and none fails");
        return None;
    };
    println!("order {orders}: {message}");
    let schedule = schedule?;
    println!("its schedule: {schedule}");
    Some(schedule)
}

pub async fn run() -> io::Result<()> {
    println!("Look, then wait:");
    let explored = explore(|| model(1, 0, Queue::look_then_wait))?;
    if let Some(schedule) = report(explored) {
        println!("The same schedule again:");
        let model = || model(1, 0, Queue::look_then_wait);
        if catch_unwind(|| shuttle::replay(model, &schedule)).is_err() {
            println!("the consumer waits for ever");
        }
    }

    println!("In line before the look:");
    report(explore(|| model(1, 0, Queue::get))?);
    Ok(())
}

#[tokio::main]
pub async fn main() -> io::Result<()> {
    run().await
}
