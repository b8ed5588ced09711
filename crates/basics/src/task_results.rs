//! Get a task's result: a value, an error, a panic, or a cancellation.
//!
//! Await a task's handle to get its result. If the function can fail, you get a `Result`
//! around the function's own `Result`. `Ok(Err(error))` is an error that the function
//! returned. `Err(join_error)` means that the task panicked or was aborted. Python raises
//! in all three cases.
//!
//! A panic is for bugs, such as a failed `assert!` or `expect`. A panic ends its task,
//! not the program. `??` passes on both: the `JoinError`, and the function's own error.
//! For a function that cannot fail, see the example `create_task`.
//!
//! Trap: If you do not await a task and it returns an `Err`, nothing is printed; Python
//! logs "Task exception was never retrieved". (A panic is printed to standard error
//! immediately.) Await the handle, or log the error at the end of the task.
//!
//! Trap: If you call `now_or_never` (of the crate `futures`) on a handle, it may return
//! `None` although `is_finished` is true, and the result is lost. Await a finished task
//! instead: the await returns immediately.
//!
//! See also: `create_task`, `task_state`, `panic_in_a_task`, `done_callbacks`.
//!
//! asyncio: asyncio.create_task, await, asyncio.Task.result, asyncio.Task.exception

use std::error::Error;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;

type Mean = Result<i32, String>;

async fn mean(numbers: &[i32]) -> Mean {
    sleep(Duration::from_secs(1)).await;
    // Only a bug in the caller can cause this, so it panics and returns no error.
    assert!(!numbers.is_empty(), "there are no numbers");
    if let Some(negative) = numbers.iter().find(|number| **number < 0) {
        return Err(format!("{negative} is negative"));
    }
    Ok(numbers.iter().sum::<i32>() / numbers.len() as i32)
}

/// Describes how a task ended.
fn describe(outcome: Result<Mean, JoinError>) -> String {
    match outcome {
        Ok(Ok(mean)) => format!("Value: {mean}"),
        Ok(Err(error)) => format!("Error: {error}"),
        Err(join_error) if join_error.is_cancelled() => String::from("Cancelled"),
        Err(_) => String::from("Bug: the message is on standard error"),
    }
}

/// Adds up the results of both tasks, and passes on errors of either kind. The `Box`
/// holds any error that may move to another thread.
async fn total(
    task1: JoinHandle<Mean>,
    task2: JoinHandle<Mean>,
) -> Result<i32, Box<dyn Error + Send + Sync>> {
    Ok(task1.await?? + task2.await??)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("Two results:");
    let task1 = tokio::spawn(mean(&[3, 5]));
    let task2 = tokio::spawn(mean(&[10, 20]));
    println!("{}, {}", task1.await??, task2.await??);

    println!("Each kind of outcome, half a second after the tasks have ended:");
    let value = tokio::spawn(mean(&[1, 3]));
    let error = tokio::spawn(mean(&[1, -2]));
    let bug = tokio::spawn(mean(&[]));
    let cancelled = tokio::spawn(mean(&[3, 5]));
    cancelled.abort();
    sleep(Duration::from_millis(1500)).await;
    for task in [value, error, bug, cancelled] {
        println!("{}", describe(task.await));
    }

    println!("Passed on to the caller:");
    let task1 = tokio::spawn(mean(&[3, 5]));
    let task2 = tokio::spawn(mean(&[10, -20]));
    match total(task1, task2).await {
        Ok(sum) => println!("Total: {sum}"),
        Err(error) => println!("No total: {error}"),
    }
    Ok(())
}

//@ stderr: there are no numbers
