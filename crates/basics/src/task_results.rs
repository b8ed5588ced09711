//! Get a task's result: a value, an error, or a panic, as it arrives at who awaits it.
//!
//! Awaiting a task gives a `Result` around the function's own: `Ok(Ok(value))`,
//! `Ok(Err(error))` where the function returned an error, and `Err(join_error)` where the
//! task panicked or was aborted (cancelled). Python raises in all three. A panic is what
//! a bug ends in: a failed `assert!` or `expect`, an index out of range. It ends its task
//! and not the program, and its message goes to standard error. The trap is in both
//! languages: nobody learns of a failure before the task is awaited. `??` passes both
//! kinds on.
//!
//! asyncio: asyncio.create_task, await, asyncio.Task.result, asyncio.Task.exception
//! stderr: x is never negative
//! stderr: the sum is too large

use std::any::Any;
use std::error::Error;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;

async fn calculate(x: i32, y: i32) -> Result<i32, String> {
    sleep(Duration::from_secs(1)).await;
    // What only a bug in the caller can cause is not an error to handle, but a panic.
    assert!(x >= 0, "x is never negative");
    if y < 0 {
        return Err(format!("{y} is negative"));
    }
    Ok(x.checked_add(y).expect("the sum is too large"))
}

/// What was panicked with: a `&str` if the text was fixed, else a `String`.
fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref().copied())
        .unwrap_or("no text")
}

/// Says how a task ended.
fn describe(outcome: Result<Result<i32, String>, JoinError>) -> String {
    match outcome {
        Ok(Ok(sum)) => format!("Value: {sum}"),
        Ok(Err(error)) => format!("Error: {error}"),
        Err(join_error) if join_error.is_panic() => {
            format!("Panic: {}", panic_text(&*join_error.into_panic()))
        }
        Err(_) => String::from("Cancelled"),
    }
}

/// Adds up the results of both tasks and passes on errors of either kind: the `Box` holds
/// any error that is allowed to move to another thread.
async fn total(
    task1: JoinHandle<Result<i32, String>>,
    task2: JoinHandle<Result<i32, String>>,
) -> Result<i32, Box<dyn Error + Send + Sync>> {
    Ok(task1.await?? + task2.await??)
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let task1 = tokio::spawn(calculate(5, 3));
    let task2 = tokio::spawn(calculate(10, 20));
    let result1 = task1.await??;
    let result2 = task2.await??;
    println!("Results: {result1}, {result2}");

    println!("Each kind of outcome, half a second after the tasks have ended:");
    let value = tokio::spawn(calculate(1, 2));
    let error = tokio::spawn(calculate(1, -2));
    let bug = tokio::spawn(calculate(-1, 2));
    let overflow = tokio::spawn(calculate(1, i32::MAX));
    let stopped = tokio::spawn(calculate(3, 4));
    stopped.abort();
    sleep(Duration::from_millis(1500)).await;
    println!("{}", describe(value.await));
    println!("{}", describe(error.await));
    println!("{}", describe(bug.await));
    println!("{}", describe(overflow.await));
    println!("{}", describe(stopped.await));

    println!("Passed on to the caller:");
    let task1 = tokio::spawn(calculate(5, 3));
    let task2 = tokio::spawn(calculate(10, -20));
    match total(task1, task2).await {
        Ok(sum) => println!("Total: {sum}"),
        Err(error) => println!("No total: {error}"),
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
