//! Test timeouts, retries and backoff without waiting: a paused clock, moved by hand.
//!
//! Write `start_paused = true` in `#[tokio::test]` (Tokio's feature `test-util`); asyncio
//! needs another event loop, as the Python program of this page shows. On the paused
//! clock, time passes only when all tasks wait: then the clock jumps to the next timer.
//! So await the code under test, and its waits are over immediately. If that code runs in
//! a spawned task, await a `sleep` in the test that is longer than the code takes.
//!
//! Measure with `tokio::time::Instant`. If the test uses sockets, do not pause the clock,
//! because it would jump while the data is on its way.
//!
//! Trap: If you move the clock over several timers by one `tokio::time::advance`, they
//! all fire late, at the new time. The clock moves in one step, and the woken tasks run
//! only afterwards. `advance_in_steps` below moves the clock step by step.
//!
//! Trap: If a loop checks a condition and calls `sleep(Duration::ZERO)` in between, it
//! hangs in a test. On the paused clock this sleep is over immediately, so the task of
//! the loop never waits, and the clock never moves. On the real clock the sleep takes a
//! millisecond. Sleep for a millisecond instead.
//!
//! Trap: If you call `advance` directly after `spawn`, the task has not started: its
//! timer begins only afterwards, and does not fire. Call `yield_now().await` first.
//!
//! See also: `unit_testing`, `retry`, `timers`.
//!
//! asyncio: asyncio.sleep, asyncio.timeout, loop.time, asyncio.Runner

use std::future::Future;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{advance, sleep, timeout};

pub const SECOND: Duration = Duration::from_secs(1);

/// The function under test. Calls at most three times, with a timeout of a second for
/// each, and pauses of two and four seconds. Returns `None` if all calls fail.
pub async fn retry<T, F>(mut call: impl FnMut(u32) -> F) -> Option<T>
where
    F: Future<Output = Option<T>>,
{
    let mut pause = 2 * SECOND;
    for number in 1..=3 {
        if let Ok(Some(answer)) = timeout(SECOND, call(number)).await {
            return Some(answer);
        }
        if number < 3 {
            sleep(pause).await;
            pause *= 2;
        }
    }
    None
}

/// Moves the paused clock step by step, and lets all tasks run after each step. So each
/// timer fires in the step in which it is due, and later timers are right as well.
///
/// # Panics
///
/// If the clock is not paused.
pub async fn advance_in_steps(steps: u32, step: Duration) {
    for _ in 0..steps {
        advance(step).await;
        settle().await;
    }
}

/// Lets all ready tasks run, and the tasks that they wake. With each yield Tokio runs up
/// to 61 tasks, so this is enough for some thousands.
pub async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

/// Tests three calls that hang. `#[tokio::test(start_paused = true)]` makes such a clock.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    let start = tokio::time::Instant::now();
    let answer = retry(|_| std::future::pending::<Option<&str>>()).await;
    let answer = answer.unwrap_or("no answer");
    println!("{answer} after {:?}", start.elapsed());
}

//@ try: -> no answer after 9s
