//! Test timeouts, retries and backoff without waiting: a paused clock, moved by hand.
//!
//! In Tokio `start_paused = true` in `#[tokio::test]` is enough (feature `test-util`);
//! asyncio needs another event loop, as here or from a package. When all tasks wait, the
//! clock jumps to the next timer. So await the code, or `sleep` past it. Measure with
//! Tokio's `Instant`. With sockets, leave the clock alone: it runs ahead of them.
//!
//! Trap: `advance` moves the clock in one step, so a timer on the way wakes late. It
//! returns before the woken tasks have run. A task that has not started has no timers.
//!
//! Trap: `sleep(Duration::ZERO)` waits a millisecond on the real clock and is ready at
//! once on the paused one. A loop that polls with it stops the clock: a test hangs.
//!
//! See also: `unit_testing`, `retry`, `timers`.
//!
//! asyncio: asyncio.sleep, asyncio.timeout, loop.time, asyncio.Runner

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::{JoinError, JoinHandle, spawn_blocking, yield_now};
use tokio::time::{Instant, advance, sleep, timeout};

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

/// Moves the paused clock step by step, and lets all tasks run after each step: a timer
/// that is due on the way fires in its step, and those it sets are right as well.
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

/// Lets tasks that can go on do so, and those they wake. With each yield Tokio runs up to
/// 61 of them, so this is enough for some thousands.
pub async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

/// The first call hangs, the second fails, and the third succeeds.
async fn call(number: u32, start: Instant) -> Option<&'static str> {
    println!("{:>2} s: call {number}", start.elapsed().as_secs());
    match number {
        1 => pending().await,
        2 => None,
        _ => Some("the answer"),
    }
}

fn spawn_retry() -> JoinHandle<Option<&'static str>> {
    let start = Instant::now();
    tokio::spawn(retry(move |number| call(number, start)))
}

fn report<T>(task: &JoinHandle<T>) {
    let not = if task.is_finished() { "" } else { "not " };
    println!("{not}finished");
}

/// What `#[tokio::test(start_paused = true)]` does.
fn paused(test: impl Future<Output = Result<(), JoinError>>) -> io::Result<()> {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build()?;
    Ok(runtime.block_on(test)?)
}

fn tests() -> io::Result<()> {
    println!("All wait, so the clock moves by itself:");
    paused(async {
        println!("{}", spawn_retry().await?.unwrap_or("no answer"));
        Ok(())
    })?;

    println!("Moved by 10 s before the task has begun:");
    paused(async {
        let task = spawn_retry();
        advance(10 * SECOND).await;
        println!("{}", task.await?.unwrap_or("no answer"));
        Ok(())
    })?;

    println!("Moved by 10 s in one step:");
    paused(async {
        let task = spawn_retry();
        settle().await;
        advance(10 * SECOND).await;
        println!("{}", task.await?.unwrap_or("no answer"));
        Ok(())
    })?;

    println!("Moved by 10 s in ten steps:");
    paused(async {
        let task = spawn_retry();
        settle().await;
        advance_in_steps(10, SECOND).await;
        report(&task);
        println!("{}", task.await?.unwrap_or("no answer"));
        Ok(())
    })?;

    println!("A sleep of 10 s instead:");
    paused(async {
        let task = spawn_retry();
        sleep(10 * SECOND).await;
        report(&task);
        Ok(())
    })?;

    println!("Due, and not run yet:");
    paused(async {
        let task = tokio::spawn(sleep(SECOND));
        settle().await;
        advance(SECOND).await;
        report(&task);
        settle().await;
        report(&task);
        Ok(())
    })
}

pub async fn run() -> io::Result<()> {
    // A runtime cannot be started inside of another one's task, but in a thread of it.
    spawn_blocking(tests).await?
}

#[tokio::main]
pub async fn main() -> io::Result<()> {
    run().await
}
