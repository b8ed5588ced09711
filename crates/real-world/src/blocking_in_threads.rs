//! Run blocking code in threads: a bounded thread pool, and calls that can be stopped.
//!
//! `tokio::task::spawn_blocking` is asyncio's `run_in_executor`. It has up to 512 threads
//! (`max_blocking_threads`), which `tokio::fs` uses too. `BlockingPool` below limits your
//! own calls to fewer threads by a semaphore: pass each call to its method `run`. To stop
//! a call, start it with the method `run_stoppable`: such a call checks a
//! `CancellationToken` between its steps.
//!
//! Bounds: At most `limit` calls run. Further calls wait, without a thread. Unbounded:
//! The waiting calls.
//!
//! Trap: If you put a `timeout` around `run`, only the waiting stops: the call itself
//! keeps its thread and its permit until it returns. Put the `timeout` around
//! `run_stoppable`: then the timeout also cancels the call's token, and the call returns
//! at its next check. The end of `main` waits for running calls too;
//! `Runtime::shutdown_timeout` limits that wait.
//!
//! Trap: If the closure borrows a local variable, the compiler refuses it ("closure may
//! outlive the current function"), because the thread may run for longer. Move clones
//! into it with `move`.
//!
//! In production: The crate `rayon` spreads one calculation over all processors. Do not
//! wait in its threads, for a socket or a lock: they are as few as processors, and all
//! calculations stand still meanwhile. If jobs wait there for other jobs, they can wait
//! forever.
//!
//! asyncio: loop.run_in_executor, concurrent.futures.ThreadPoolExecutor

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};
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
        let permits = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        Self { permits }
    }

    /// Runs the call in a thread. First come, first served.
    ///
    /// If the future is dropped while it waits for its permit, the call never runs. If
    /// the future is dropped later, the call runs all the same, even if it still waits
    /// for a thread of the runtime, and keeps its permit.
    ///
    /// # Errors
    ///
    /// If the call panics, or the runtime has shut down.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
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

    /// Runs a call that checks `is_cancelled` between its steps; otherwise as
    /// [`run`](Self::run). Dropping the future cancels the token.
    pub async fn run_stoppable<T: Send + 'static>(
        &self,
        call: impl FnOnce(CancellationToken) -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let stop = CancellationToken::new();
        let _cancels = stop.clone().drop_guard();
        self.run(move || call(stop)).await
    }
}

/// Counts the lines of files, two at a time, within a minute: `cargo run -- FILE...`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let pool = BlockingPool::new(2);
    let calls = std::env::args().skip(1).map(|path| {
        pool.run_stoppable(move |stop| -> std::io::Result<String> {
            let bytes = std::fs::read(&path)?;
            let pieces = bytes.chunks(65_536).take_while(|_| !stop.is_cancelled());
            let lines = pieces.flatten().filter(|byte| **byte == b'\n').count();
            Ok(format!("{lines} {path}"))
        })
    });
    let all = futures::future::try_join_all(calls);
    let minute = std::time::Duration::from_secs(60);
    for counted in tokio::time::timeout(minute, all).await?? {
        println!("{}", counted?);
    }
    Ok(())
}

//@ clock: real
//@ order: begins
//@ try: nowhere -> No such file
