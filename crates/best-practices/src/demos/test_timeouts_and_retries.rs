//! A retry whose clock moves by itself, in one step, and in many.

use std::future::pending;
use std::io;

use tokio::runtime::Builder;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{Instant, advance, sleep};

use crate::test_timeouts_and_retries::{SECOND, advance_in_steps, retry, settle};

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
    println!("All tasks wait, so the clock moves by itself:");
    paused(async {
        println!("{}", spawn_retry().await?.unwrap_or("no answer"));
        Ok(())
    })?;

    println!("The clock moves by 10 s before the task starts:");
    paused(async {
        let task = spawn_retry();
        advance(10 * SECOND).await;
        println!("{}", task.await?.unwrap_or("no answer"));
        Ok(())
    })?;

    println!("The clock moves by 10 s in one step:");
    paused(async {
        let task = spawn_retry();
        settle().await;
        advance(10 * SECOND).await;
        println!("{}", task.await?.unwrap_or("no answer"));
        Ok(())
    })?;

    println!("The clock moves by 10 s in ten steps:");
    paused(async {
        let task = spawn_retry();
        settle().await;
        advance_in_steps(10, SECOND).await;
        report(&task);
        println!("{}", task.await?.unwrap_or("no answer"));
        Ok(())
    })?;

    println!("The test sleeps for 10 s instead:");
    paused(async {
        let task = spawn_retry();
        sleep(10 * SECOND).await;
        report(&task);
        Ok(())
    })?;

    println!("A timer is due, but its task has not run yet:");
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
