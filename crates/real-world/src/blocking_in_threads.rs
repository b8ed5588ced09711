//! Run blocking code in threads: a bounded thread pool, and calls that can be stopped.
//!
//! `spawn_blocking` is `run_in_executor`, on up to 512 threads (`max_blocking_threads`)
//! that `tokio::fs` shares. A semaphore makes a smaller pool of your own. A call that has
//! to stop asks a token between its steps.
//!
//! Bounds: `limit` running calls. Waiting calls are unbounded, but hold no thread.
//!
//! Trap: nothing cancels a call that has begun. A timeout stops the waiting, not the
//! thread, so the permit moves into the call. The end of `main` waits for running calls;
//! `Runtime::shutdown_timeout` does not.
//!
//! Trap: a call borrows nothing ("closure may outlive the current function"). Give it by
//! `move` what it needs.
//!
//! In production: `rayon` spreads one calculation over all processors.
//!
//! asyncio: loop.run_in_executor, concurrent.futures.ThreadPoolExecutor
//! clock: real
//! order: begins

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::future::join_all;
use tokio::join;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Runs blocking calls in threads, at most `limit` at a time. Clones share the limit.
#[derive(Clone, Debug)]
pub struct BlockingPool {
    permits: Arc<Semaphore>,
}

impl BlockingPool {
    /// Returns a pool with a limit. Its threads are those of the runtime.
    ///
    /// # Panics
    ///
    /// If `limit` is 0.
    pub fn new(limit: usize) -> Self {
        assert!(limit > 0, "a pool without threads would never run a call");
        let permits = Arc::new(Semaphore::new(limit));
        Self { permits }
    }

    /// Runs the call in a thread. First come, first served.
    ///
    /// Dropped while it waits, the call never runs. Dropped later, the call runs on and
    /// keeps its permit.
    ///
    /// # Errors
    ///
    /// If the call panics, or the runtime shuts down before it has begun.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let permit = permit.expect("the semaphore is never closed");
        spawn_blocking(move || {
            let _permit = permit;
            call()
        })
        .await
    }

    /// As [`run`](Self::run), for a call that asks `is_cancelled` between its steps.
    /// Dropping the future cancels the token.
    pub async fn run_stoppable<T: Send + 'static>(
        &self,
        call: impl FnOnce(CancellationToken) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let stop = CancellationToken::new();
        let _cancels = stop.clone().drop_guard();
        self.run(move || call(stop)).await
    }
}

/// Stands for blocking input and output, or for a calculation.
fn blocking_operation(name: &str, millis: u64) -> Result<String, String> {
    println!("{name} begins");
    thread::sleep(Duration::from_millis(millis));
    println!("{name} ends");
    match name {
        "B" => Err(format!("Blocking operation {name} failed")),
        _ => Ok(format!("Blocking operation {name} completed")),
    }
}

/// Ten steps of 100 ms.
fn in_steps(stop: CancellationToken) -> u32 {
    for step in 1..=10 {
        if stop.is_cancelled() {
            println!("stopped before step {step}");
            return step - 1;
        }
        thread::sleep(Duration::from_millis(100));
        println!("step {step} is done");
    }
    10
}

pub async fn run() -> Result<(), JoinError> {
    let patience = Duration::from_millis(100);

    println!("Four calls, two at a time:");
    let pool = BlockingPool::new(2);
    let calls = [("A", 200), ("B", 300), ("C", 200), ("D", 250)];
    let running =
        calls.map(|(name, millis)| pool.run(move || blocking_operation(name, millis)));
    for result in join_all(running).await {
        println!("{}", result?.unwrap_or_else(|error| error));
    }

    println!("Its caller gives up, E does not, and F has to wait:");
    let pool = BlockingPool::new(1);
    let call = pool.run(|| blocking_operation("E", 300));
    if timeout(patience, call).await.is_err() {
        println!("gave up");
    }
    let result = pool.run(|| blocking_operation("F", 100)).await?;
    println!("{}", result.unwrap_or_else(|error| error));

    println!("The caller of H gives up while H waits for G, so H never runs:");
    let running = pool.run(|| blocking_operation("G", 200));
    let waiting = async {
        let call = pool.run(|| blocking_operation("H", 100));
        if timeout(patience, call).await.is_err() {
            println!("gave up");
        }
    };
    let (result, ()) = join!(biased; running, waiting);
    println!("{}", result?.unwrap_or_else(|error| error));
    sleep(2 * patience).await;
    println!("0.2 s later");

    println!("A call that asks between its steps:");
    let call = pool.run_stoppable(in_steps);
    if timeout(patience * 5 / 2, call).await.is_err() {
        println!("gave up");
    }
    let result = pool.run(|| blocking_operation("I", 100)).await?;
    println!("{}", result.unwrap_or_else(|error| error));

    println!("The end of the program waits for what runs:");
    let call = pool.run(|| blocking_operation("J", 300));
    if timeout(patience, call).await.is_err() {
        println!("gave up");
    }
    println!("the last line of main");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
