//! Two ways to wait for an item, in every order; the order that fails, once more.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use shuttle::scheduler::DfsScheduler;
use shuttle::{Config, FailurePersistence, Runner};

use crate::model_checking::{Queue, model};

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
    println!("schedule: {schedule}");
    Some(schedule)
}

pub async fn run() -> io::Result<()> {
    println!("A consumer that looks for an item, then waits:");
    let explored = explore(|| model(1, 0, Queue::look_then_wait))?;
    if let Some(schedule) = report(explored) {
        println!("The same schedule again:");
        let model = || model(1, 0, Queue::look_then_wait);
        if catch_unwind(|| shuttle::replay(model, &schedule)).is_err() {
            println!("the consumer waits for ever");
        }
    }

    println!("A consumer that joins the waiters before it looks:");
    report(explore(|| model(1, 0, Queue::get))?);
    Ok(())
}
