//! Wait for the first of several tasks, or for the first error, and keep the rest.
//!
//! A `JoinSet` holds the pending tasks, like the second set that `asyncio.wait` returns.
//! `join_next` takes out the first task that has ended. The rest run on, to be awaited
//! later or aborted. For `FIRST_EXCEPTION`, take tasks out until one has failed; in both
//! languages an aborted task does not count as failed.
//!
//! Trap: `select!` in a loop moves its future in the first round ("use of moved value").
//! Pin the future before the loop, as in `select_in_a_loop`.
//!
//! See also: `first_completed`, `wait_all`, `select_in_a_loop`.
//!
//! asyncio: asyncio.wait, asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION

use std::error::Error;
use std::panic::resume_unwind;
use std::time::Duration;

use tokio::task::coop::unconstrained;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// Waits until a task has ended, and takes out all that have ended by then. The rest
/// stay in the set.
///
/// Cancel safety: dropping the future loses nothing.
pub async fn first_completed<T: 'static>(
    tasks: &mut JoinSet<T>,
) -> Vec<Result<T, JoinError>> {
    // Without `unconstrained` a caller that has used up its budget would miss one task.
    let first = unconstrained(tasks.join_next()).await;
    let mut done: Vec<_> = first.into_iter().collect();
    while let Some(outcome) = tasks.try_join_next() {
        done.push(outcome);
    }
    done
}

/// Waits until a task fails or all have ended, and adds the values to `done`. The rest
/// stay in the set. An aborted task is left out; a panic continues in the caller.
///
/// Cancel safety: values that were taken out of the set are in `done`.
pub async fn first_exception<T: 'static, E: 'static>(
    tasks: &mut JoinSet<Result<T, E>>,
    done: &mut Vec<T>,
) -> Result<(), E> {
    while let Some(outcome) = tasks.join_next().await {
        match outcome {
            Ok(result) => done.push(result?),
            Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }
    Ok(())
}

async fn work(name: &'static str, millis: u64) -> Result<&'static str, String> {
    sleep(Duration::from_millis(millis)).await;
    if name == "bad" {
        return Err(format!("{name} failed"));
    }
    Ok(name)
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("Until the first has completed, again and again:");
    let works = [work("slow", 400), work("fast", 100), work("middle", 300)];
    let mut tasks = JoinSet::from_iter(works);
    while !tasks.is_empty() {
        for outcome in first_completed(&mut tasks).await {
            println!("{}; {} pending", outcome??, tasks.len());
        }
    }

    println!("Until the first error:");
    let mut tasks = JoinSet::from_iter([work("slow", 400), work("fast", 100)]);
    tasks.spawn(work("bad", 200));
    tasks.spawn(work("cancelled", 100)).abort();
    let mut done = Vec::new();
    if let Err(error) = first_exception(&mut tasks, &mut done).await {
        println!(
            "{error}; done: {}; {} pending",
            done.join(", "),
            tasks.len()
        );
    }
    first_exception(&mut tasks, &mut done).await?;
    println!("done: {}", done.join(", "));
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
