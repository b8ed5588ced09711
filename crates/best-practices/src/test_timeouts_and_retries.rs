//! Test timeouts, retries and backoff without waiting: a paused clock, moved by hand.
//!
//! asyncio needs an event loop of one's own for this; in Tokio `start_paused = true` in
//! `#[tokio::test]` is enough (feature `test-util`). Whenever all tasks wait, the clock
//! moves to the next timer by itself, and that is what most tests want: await the code,
//! or `sleep` past it. The traps are in `advance`: it moves the clock in one step, so
//! what is due on the way wakes late; it returns before what is due has run, so yield;
//! and a task that has not begun has no timers yet. While `spawn_blocking` works, the
//! clock holds still, so a timeout around it never fires. The std clock runs on: measure
//! by Tokio's `Instant`. Start with it paused: after a later `pause()` it stands between
//! two milliseconds, and timers are late by what is missing. After `resume` waiting takes
//! real time. With sockets leave the clock alone: it runs ahead of them, and timeouts
//! fire at random. A retry for production: `retry`.
//!
//! asyncio: asyncio.sleep, asyncio.timeout, loop.time, asyncio.Runner

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::{JoinError, JoinHandle, spawn_blocking, yield_now};
use tokio::time::{Instant, advance, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

/// What is tested: at most three calls, with a second for each, and between them pauses
/// of two and four seconds. `None` if all fail.
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

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::thread;
    use std::time::Duration;

    use tokio::task::spawn_blocking;
    use tokio::time::{Instant, advance, pause, resume, sleep, timeout};

    use super::{SECOND, advance_in_steps, retry, settle};

    const SHORT: Duration = Duration::from_millis(50);

    #[tokio::test(start_paused = true)]
    async fn three_calls_that_hang() {
        let start = Instant::now();
        assert_eq!(retry(|_| pending::<Option<()>>()).await, None);
        assert_eq!(start.elapsed(), 9 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn three_calls_that_fail() {
        let start = Instant::now();
        let mut calls = Vec::new();
        let answer = retry(|number| {
            calls.push((number, start.elapsed()));
            ready(None::<()>)
        });
        assert_eq!(answer.await, None);
        assert_eq!(
            calls,
            [(1, Duration::ZERO), (2, 2 * SECOND), (3, 6 * SECOND)]
        );
        // No pause after the last one.
        assert_eq!(start.elapsed(), 6 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_in_the_last_moment() {
        let answer = retry(|number| async move {
            sleep(SECOND - Duration::from_millis(1)).await;
            Some(number)
        });
        assert_eq!(answer.await, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn steps_are_exact_through_many_tasks() {
        let start = Instant::now();
        let task = tokio::spawn(async move {
            for _ in 0..5 {
                let inner = tokio::spawn(sleep(SECOND));
                inner.await.expect("it does not panic");
            }
            start.elapsed()
        });
        settle().await;
        advance_in_steps(5, SECOND).await;
        assert!(task.is_finished());
        assert_eq!(task.await.expect("it does not panic"), 5 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_tasks_in_a_step() {
        let tasks = [(); 1000].map(|()| tokio::spawn(sleep(SECOND)));
        settle().await;
        advance_in_steps(1, SECOND).await;
        assert!(tasks.iter().all(|task| task.is_finished()));
    }

    #[tokio::test(start_paused = true)]
    async fn blocking_work_holds_the_clock() {
        let work = spawn_blocking(|| thread::sleep(SHORT));
        let start = Instant::now();
        assert!(timeout(SHORT / 50, work).await.is_ok());
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_of_std_is_another_one() {
        let (start, of_std) = (Instant::now(), std::time::Instant::now());
        sleep(3600 * SECOND).await;
        assert_eq!(start.elapsed(), 3600 * SECOND);
        assert!(of_std.elapsed() < 60 * SECOND);
    }

    #[tokio::test]
    async fn paused_later_it_is_not_exact() {
        pause();
        let start = Instant::now();
        sleep(SECOND).await;
        let late = start.elapsed() - SECOND;
        assert!(late > Duration::ZERO && late < Duration::from_millis(2));
    }

    #[tokio::test(start_paused = true)]
    async fn started_paused_it_is_exact() {
        let start = Instant::now();
        sleep(SECOND).await;
        assert_eq!(start.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn resumed_it_takes_real_time() {
        let of_std = std::time::Instant::now();
        sleep(3600 * SECOND).await;
        resume();
        sleep(SHORT).await;
        assert!((SHORT..60 * SECOND).contains(&of_std.elapsed()));
    }

    #[tokio::test]
    #[should_panic(expected = "time is not frozen")]
    async fn not_paused() {
        advance(SECOND).await;
    }

    #[test]
    #[should_panic(
        expected = "`time::pause()` requires the `current_thread` Tokio runtime"
    )]
    fn paused_on_many_threads() {
        let runtime = tokio::runtime::Runtime::new().expect("there are threads");
        runtime.block_on(async { pause() });
    }
}
