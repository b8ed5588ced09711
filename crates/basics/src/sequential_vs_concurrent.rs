//! Sequential or concurrent: await calls one after another, or run them together.
//!
//! Two awaits in a row take the sum of both times. Creating both futures first does not
//! help, because creating a future starts nothing.
//!
//! `join!` runs futures concurrently and returns all results, errors too. `join_all` does
//! the same for a list. `join!` and `join_all` are like `gather(return_exceptions=True)`.
//! `try_join!` returns the first error and drops the other futures, as a `TaskGroup`
//! cancels its tasks. `tokio::spawn` starts a task that runs from then on.
//!
//! Trap: If two futures of a `join!` change one value, the compiler reports "cannot
//! borrow `log` as mutable more than once". Return values instead.
//!
//! Trap: If the futures of a `try_join!` have different error types, the compiler
//! reports "mismatched types". Give all of them one type: `map_err` in an `async`
//! block, or `async { anyhow::Ok(load().await?) }` for each.
//!
//! See also: `gather`, `join_or_spawn`, `spawn_tasks`.
//!
//! asyncio: await, asyncio.gather, asyncio.TaskGroup, asyncio.create_task

use std::time::Duration;

use futures::future::join_all;
use tokio::time::sleep;
use tokio::{join, try_join};

/// Simulates a request; the answer names it.
async fn step(name: &'static str, delay: Duration) -> String {
    println!("{name}: Starting");
    sleep(delay).await;
    println!("{name}: Done");
    format!("Result {name}")
}

async fn failing_step(name: &str, delay: Duration) -> Result<String, String> {
    println!("{name}: Starting");
    sleep(delay).await;
    Err(format!("{name} has failed"))
}

#[tokio::main]
async fn main() {
    let short = Duration::from_millis(500);
    let long = Duration::from_millis(800);

    println!("Awaits in a row:");
    let first = step("A", short);
    let second = step("B", long);
    let first = first.await;
    let second = second.await;
    println!("{first}, {second}");

    println!("At the same time:");
    // first, second = await asyncio.gather(step("A", long), step("B", short))
    let (first, second) = join!(step("A", long), step("B", short));
    println!("{first}, {second}");

    println!("A whole list at the same time:");
    // results = await asyncio.gather(*steps)
    let delays = [("A", 300), ("B", 100), ("C", 200)];
    let steps = delays.map(|(name, millis)| step(name, Duration::from_millis(millis)));
    let results = join_all(steps).await;
    println!("{}", results.join(", "));

    println!("At the same time, and one of them fails:");
    let good = async { Ok(step("A", long).await) };
    match try_join!(good, failing_step("B", short)) {
        Ok((first, second)) => println!("{first}, {second}"),
        Err(error) => println!("Error: {error}"),
    }

    println!("A task:");
    let task = tokio::spawn(step("A", short));
    sleep(Duration::from_millis(300)).await;
    println!("The task is already running");
    let result = task.await.expect("the step does not fail");
    println!("{result}");
}
