//! Wait for the first of several tasks and keep the rest: first completed, first error.
//!
//! A `JoinSet` holds the pending tasks, like the second set that `asyncio.wait` returns.
//! `join_next` takes out the first task that has ended. The rest run on, to be awaited
//! later or aborted. For `FIRST_EXCEPTION`, take tasks out until one has failed; in both
//! languages an aborted task does not count as failed.
//!
//! Trap: `select_all` on bare futures returns the rest, but they stand still until you
//! await them again. Handles of tasks go on.
//!
//! Trap: `select!` in a loop takes its future only once, "use of moved value", unless the
//! future is pinned outside: `select_in_a_loop`.
//!
//! See also: `first_completed`, `wait_all`, `select_in_a_loop`.
//!
//! asyncio: asyncio.wait, asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION
//! differs: the rest of `select_all` stands still; tasks of asyncio go on by themselves

use std::error::Error;
use std::panic::resume_unwind;
use std::time::Duration;

use futures::FutureExt;
use futures::future::select_all;
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
/// stay in the set. An aborted task is left out.
///
/// Cancel safety: what was taken out of the set is in `done`. A panic of a task continues
/// in the caller.
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

/// Works in two steps, and says when it is half-way.
async fn step(name: &'static str, millis: u64) -> Result<&'static str, String> {
    sleep(Duration::from_millis(millis / 2)).await;
    println!("{name} is half-way");
    sleep(Duration::from_millis(millis / 2)).await;
    match name {
        "bad" => Err(format!("{name} failed")),
        _ => Ok(name),
    }
}

/// Prints the names of the finished tasks and the number of the pending ones.
fn report(done: &[&str], pending: usize) {
    println!("done: {}; pending: {pending}", done.join(", "));
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("Until the first is done:");
    let mut tasks = JoinSet::new();
    for (name, millis) in [("slow", 800), ("fast", 200), ("middle", 600)] {
        tasks.spawn(step(name, millis));
    }
    while !tasks.is_empty() {
        for outcome in first_completed(&mut tasks).await {
            report(&[outcome??], tasks.len());
        }
    }

    println!("Until the first error:");
    for (name, millis) in [("slow", 800), ("fast", 200), ("bad", 500)] {
        tasks.spawn(step(name, millis));
    }
    let gone = tasks.spawn(step("gone", 400));
    sleep(Duration::from_millis(300)).await;
    gone.abort();
    let mut done = Vec::new();
    if let Err(error) = first_exception(&mut tasks, &mut done).await {
        println!("{error}");
    }
    report(&done, tasks.len());
    println!("The rest:");
    first_exception(&mut tasks, &mut done).await?;
    report(&done, tasks.len());

    println!("The rest of futures that are no tasks:");
    let steps = [step("slow", 800).boxed(), step("fast", 200).boxed()];
    let (first, _index, rest) = select_all(steps).await;
    report(&[first?], rest.len());
    sleep(Duration::from_millis(500)).await;
    println!("0.5 s later");
    let (second, _index, rest) = select_all(rest).await;
    report(&[second?], rest.len());
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
