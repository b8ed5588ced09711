//! Wait until all tasks have ended, or a timeout expires: `asyncio.wait` and its `done`.
//!
//! `asyncio.wait` raises nothing: it returns when the tasks have ended, and you look at
//! each outcome afterwards. `join_all` over the handles of tasks does the same. With a
//! timeout, put the tasks into a `JoinSet`. `wait` below takes the finished tasks out;
//! the pending ones stay in the set and run on.
//!
//! Trap: `timeout` around a `join_all` loses the results that were ready.
//!
//! Trap: `timeout_at(deadline, tasks.join_next())` in a loop reports finished tasks as
//! pending. After 128 results Tokio makes the task yield, and by then the deadline may
//! have passed. `unconstrained` turns that off.
//!
//! See also: `wait_for_first`, `as_completed`, `gather_errors`.
//!
//! asyncio: asyncio.wait, asyncio.wait(timeout=), asyncio.ALL_COMPLETED, asyncio.timeout

use std::time::Duration;

use futures::future::join_all;
use tokio::task::coop::unconstrained;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

/// Waits until every task of the set has ended, or the timeout expires. Returns the
/// outcomes of the tasks that have ended, in the order in which they ended; the others
/// stay in the set. [`Duration::MAX`] is no limit.
///
/// Dropping the future loses the outcomes that it has taken out.
pub async fn wait<T: 'static>(
    tasks: &mut JoinSet<T>,
    limit: Duration,
) -> Vec<Result<T, JoinError>> {
    let mut done = Vec::new();
    let all = async {
        while let Some(outcome) = unconstrained(tasks.join_next()).await {
            done.push(outcome);
        }
    };
    // `done` holds the outcomes that came before the timeout.
    let _ = timeout(limit, all).await;
    done
}

async fn task(name: &'static str, millis: u64) -> Result<String, String> {
    sleep(Duration::from_millis(millis)).await;
    if name == "2" {
        return Err(format!("Task-{name} failed"));
    }
    Ok(format!("Task-{name} completed"))
}

fn print_outcome(outcome: Result<String, String>) {
    match outcome {
        Ok(text) => println!("{text}"),
        Err(error) => println!("Error: {error}"),
    }
}

pub async fn run() -> Result<(), JoinError> {
    println!("Until all have ended:");
    // done, pending = await asyncio.wait(tasks)
    let tasks = [task("1", 200), task("2", 100), task("3", 300)];
    for task in join_all(tasks.map(tokio::spawn)).await {
        print_outcome(task?);
    }

    println!("For 0.25 s at most:");
    let tasks = [task("1", 100), task("2", 200), task("3", 300)];
    let mut tasks = JoinSet::from_iter(tasks);
    // done, pending = await asyncio.wait(tasks, timeout=0.25)
    for task in wait(&mut tasks, Duration::from_millis(250)).await {
        print_outcome(task?);
    }
    println!("{} pending", tasks.len());
    while let Some(task) = tasks.join_next().await {
        print_outcome(task?);
    }

    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
