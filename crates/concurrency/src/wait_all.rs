//! Wait until all tasks have ended, or a time is over: `asyncio.wait` and its `done`.
//!
//! `asyncio.wait` raises nothing: it tells when the tasks have ended, and each outcome is
//! looked at afterwards. So does `join_all` over the handles of tasks. With a time limit
//! the tasks go into a `JoinSet`: what has ended is taken out of it, what is pending
//! stays in it and runs on. The trap is `timeout` around a `join_all`: when the time is
//! over, the results that were ready are lost with it.
//!
//! asyncio: asyncio.wait, asyncio.wait(timeout=), asyncio.ALL_COMPLETED, asyncio.wait_for

use std::time::Duration;

use futures::future::join_all;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Waits until every task of the set has ended, or the time is over. What the tasks
/// returned that have ended, in the order of their ends; the others stay in the set.
pub async fn wait<T: 'static>(
    tasks: &mut JoinSet<T>,
    limit: Duration,
) -> Vec<Result<T, JoinError>> {
    let deadline = Instant::now() + limit;
    let mut done = Vec::new();
    while let Ok(Some(outcome)) = timeout_at(deadline, tasks.join_next()).await {
        done.push(outcome);
    }
    done
}

async fn task(name: &'static str, millis: u64) -> Result<String, String> {
    sleep(Duration::from_millis(millis)).await;
    if name == "Task-2" {
        return Err(format!("{name} failed"));
    }
    Ok(format!("{name} completed"))
}

fn print_outcome(outcome: Result<String, String>) {
    match outcome {
        Ok(text) => println!("{text}"),
        Err(error) => println!("Error: {error}"),
    }
}

pub async fn run() -> Result<(), JoinError> {
    let limit = Duration::from_millis(250);

    println!("Until all have ended:");
    let jobs = [("Task-1", 200), ("Task-2", 100), ("Task-3", 300)];
    // done, pending = await asyncio.wait(tasks)
    let done =
        join_all(jobs.map(|(name, millis)| tokio::spawn(task(name, millis)))).await;
    for task in done {
        print_outcome(task?);
    }

    println!("For 0.25 s at most:");
    let jobs = [("Task-1", 100), ("Task-2", 200), ("Task-3", 300)];
    let mut tasks = JoinSet::from_iter(jobs.map(|(name, millis)| task(name, millis)));
    // done, pending = await asyncio.wait(tasks, timeout=0.25)
    for task in wait(&mut tasks, limit).await {
        print_outcome(task?);
    }
    println!("{} pending", tasks.len());
    while let Some(task) = tasks.join_next().await {
        print_outcome(task?);
    }

    println!("All results or none:");
    let all = join_all(jobs.map(|(name, millis)| task(name, millis)));
    match timeout(limit, all).await {
        Ok(outcomes) => outcomes.into_iter().for_each(print_outcome),
        Err(_) => println!("Out of time"),
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
