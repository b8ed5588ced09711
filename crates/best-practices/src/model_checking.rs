//! Model checking with shuttle: find a race or a lost wake-up by trying every order.
//!
//! asyncio switches between tasks at an await only, so what stands between two awaits is
//! never interrupted. On Tokio's threads another task may come between any two lines, and
//! a bug that needs just that may show once in a million runs. shuttle runs the tasks of
//! a model on one thread and chooses before each operation who goes on: one order after
//! the other (`check_dfs`), or at random where there are too many
//! (`shuttle::check_random`). What fails comes with its schedule, and `replay` runs that
//! again. The trap: it knows only its own types, and passes what it does not see. So put
//! its `Mutex` in place of std's while you test, and its `sleep`, which is a switch and
//! no more, before each step of what remains Tokio's, such as `Notify`. (Its `yield_now`
//! also bids the scheduler to prefer others, and so hides bugs.) Tokio's tasks, timers
//! and sockets do not work in a model. The crate `loom` also tries what weak orderings
//! allow to atomics; shuttle takes all for `SeqCst`. The whole queue: `condition_queue`.
//!
//! asyncio: asyncio.Condition, asyncio.Condition.wait_for, asyncio.Condition.notify_all
//! stderr: deadlock
//! stderr: failing schedule persisted to file
//! stderr: pass that path to `shuttle::replay_from_file`
//! stderr: Task failed, serializing schedule
//! stderr: test panicked in task
//! twin: none (asyncio switches only at an await, so there are no such orders to try)

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use shuttle::scheduler::DfsScheduler;
// In a crate of yours under a feature of the tests; without it, std's Mutex.
use shuttle::sync::Mutex;
use shuttle::{Config, FailurePersistence, Runner, future, thread};
use tokio::sync::Notify;

/// A queue for many consumers, which can be closed.
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
    /// Called before each step that shuttle does not see, with its name.
    step: fn(&str),
}

#[derive(Default)]
struct State {
    items: VecDeque<u32>,
    closed: bool,
}

impl Queue {
    /// An empty queue. `step` may let another task of the model go on.
    pub fn new(step: fn(&str)) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            step,
        }
    }

    /// Appends an item and wakes one consumer.
    pub fn put(&self, item: u32) {
        let mut state = self.state.lock().expect("nobody panics");
        state.items.push_back(item);
        drop(state);
        (self.step)("notify one");
        self.changed.notify_one();
    }

    /// Tells those who wait that nothing more comes.
    pub fn close(&self) {
        self.state.lock().expect("nobody panics").closed = true;
        (self.step)("notify all");
        self.changed.notify_waiters();
    }

    /// Takes the oldest item, once there is one; `None` when closed and empty.
    pub async fn get(&self) -> Option<u32> {
        loop {
            (self.step)("get in line");
            let mut woken = pin!(self.changed.notified());
            woken.as_mut().enable();
            if let Some(found) = self.look() {
                return found;
            }
            (self.step)("wait");
            woken.await;
        }
    }

    /// The bug: a wake-up between the look and the wait finds nobody.
    pub async fn look_then_wait(&self) -> Option<u32> {
        loop {
            if let Some(found) = self.look() {
                return found;
            }
            (self.step)("wait");
            self.changed.notified().await;
        }
    }

    fn look(&self) -> Option<Option<u32>> {
        (self.step)("look");
        let mut state = self.state.lock().expect("nobody panics");
        let item = state.items.pop_front();
        (item.is_some() || state.closed).then_some(item)
    }
}

/// The model: the items are put, the queue is closed, and each consumer asks once.
///
/// # Panics
///
/// If an item is lost or comes twice, or an older one is left. If the tasks wait for
/// ever, shuttle panics.
fn model(
    consumers: u32,
    items: u32,
    step: fn(&str),
    get: impl AsyncFn(&Queue) -> Option<u32> + Copy + 'static,
) {
    let queue = Arc::new(Queue::new(step));
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

/// What came of a model.
pub struct Explored {
    /// How many orders were tried, up to the one that failed.
    pub orders: usize,
    /// The message of that one, and its schedule for `shuttle::replay`. If a task has
    /// panicked, the schedule comes only in the first model of a process, as shuttle's
    /// panic hook is set once.
    pub failure: Option<(String, Option<String>)>,
}

/// Tries the model in every order, until one fails. In a test `shuttle::check_dfs` does,
/// which panics and prints the schedule. Keep it small: an item more makes 1058 orders of
/// 71, and with a second consumer they are too many.
///
/// # Errors
///
/// If there is no temporary folder, through which the schedule comes.
pub fn explore(model: impl Fn() + Send + Sync + 'static) -> io::Result<Explored> {
    let dir = tempfile::tempdir()?;
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::File(Some(dir.path().into()));
    let orders = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&orders);
    let runner = Runner::new(DfsScheduler::new(None, false), config);
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

fn unseen(_name: &str) {}

fn seen(_name: &str) {
    thread::sleep(Duration::ZERO);
}

fn seen_and_told(name: &str) {
    thread::sleep(Duration::ZERO);
    println!("{name}");
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
    println!("Look, then wait, with steps that shuttle does not see:");
    report(explore(|| model(1, 0, unseen, Queue::look_then_wait))?);

    println!("With a switch before each step:");
    let explored = explore(|| model(1, 0, seen, Queue::look_then_wait))?;
    if let Some(schedule) = report(explored) {
        println!("The same again:");
        let model = || model(1, 0, seen_and_told, Queue::look_then_wait);
        if catch_unwind(|| shuttle::replay(model, &schedule)).is_err() {
            println!("the consumer waits for ever");
        }
    }

    println!("In line before the look:");
    report(explore(|| model(1, 0, seen, Queue::get))?);
    Ok(())
}

#[tokio::main]
pub async fn main() -> io::Result<()> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;
    use std::sync::Arc;

    use shuttle::Runner;
    use shuttle::scheduler::PctScheduler;

    use super::{Queue, explore, future, model, seen, unseen};

    /// A fixed number of orders at random, with few interruptions each.
    fn check(model: impl Fn() + Send + Sync + 'static) {
        Runner::new(PctScheduler::new_from_seed(1, 3, 1500), Default::default())
            .run(model);
    }

    #[test]
    fn nobody_is_forgotten() {
        check(|| model(4, 2, seen, Queue::get));
        check(|| model(2, 4, seen, Queue::get));
        let model = || model(4, 2, seen, Queue::get);
        shuttle::check_random_with_seed(model, 1, 1500);
    }

    #[test]
    fn an_item_more() {
        let explored = explore(|| model(1, 1, seen, Queue::get));
        let explored = explored.expect("there is a temporary folder");
        assert!(explored.failure.is_none());
        assert_eq!(explored.orders, 1058);
    }

    #[test]
    #[should_panic(expected = "deadlock! blocked tasks: [")]
    fn two_consumers_and_an_item() {
        check(|| model(2, 1, seen, Queue::look_then_wait));
    }

    /// Nobody closes the queue: what is put has to wake both.
    fn two_puts_for_two(get: impl AsyncFn(&Queue) -> Option<u32> + Copy + 'static) {
        let queue = Arc::new(Queue::new(seen));
        let gets = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            future::spawn_local(async move { get(&queue).await })
        });
        queue.put(1);
        queue.put(2);
        for get in gets {
            assert!(future::block_on(get).expect("not aborted").is_some());
        }
    }

    #[test]
    fn two_wake_ups_stay_two() {
        check(|| two_puts_for_two(Queue::get));
        let bug = catch_unwind(|| check(|| two_puts_for_two(Queue::look_then_wait)));
        assert!(
            bug.is_err(),
            "the second wake-up is lost if nobody waits yet"
        );
    }

    /// One of two is aborted, perhaps when it was just woken; the other gets the item.
    #[test]
    fn an_aborted_consumer_passes_its_wake_up_on() {
        check(|| {
            let queue = Arc::new(Queue::new(seen));
            let [first, second] = [(); 2].map(|()| {
                let queue = Arc::clone(&queue);
                future::spawn_local(async move { queue.get().await })
            });
            queue.put(1);
            first.abort();
            let item = match future::block_on(first) {
                Ok(item) => item,
                Err(_) => future::block_on(second).expect("not aborted"),
            };
            assert_eq!(item, Some(1));
        });
    }

    #[test]
    fn a_model_that_panics() {
        let explored = explore(|| {
            let queue = Queue::new(unseen);
            queue.put(1);
            assert!(future::block_on(queue.get()).is_none(), "as scheduled");
        });
        let explored = explored.expect("there is a temporary folder");
        assert_eq!(explored.orders, 1);
        let (message, _) = explored.failure.expect("it fails");
        assert_eq!(message, "as scheduled");
    }
}
