//! Bulkhead: limit the running and waiting calls to a service, and reject further calls.
//!
//! When one service gets slow, its requests pile up, because the queue of a semaphore has
//! no limit. If several services share a semaphore, requests for the other services wait
//! behind them. So give each service its own `Bulkhead`, the struct of this file. If its
//! queue is full, a call is rejected immediately. Queued calls are served first come,
//! first served.
//!
//! Bounds: At most `max_concurrent` calls run and `max_queued` wait; further calls are
//! rejected. The time of a call is unbounded: put a `timeout` around each call.
//!
//! Trap: If a call makes a second call in the same bulkhead, it needs a second permit
//! (the right to run). When such outer calls hold all permits, the inner call waits
//! forever, or is rejected if the queue is full. Give the inner calls a separate
//! bulkhead.
//!
//! In production: `tower`'s `ConcurrencyLimit` and `LoadShed` are layers (wrappers)
//! around any service. Together they have no queue: a call that would wait is rejected.
//!
//! See also: `semaphore`, `circuit_breaker`, `timeouts`.
//!
//! asyncio: asyncio.Semaphore, contextlib.asynccontextmanager, asyncio.timeout

use std::future::Future;

use tokio::sync::Semaphore;

/// Limits how many calls run and how many wait. To share a bulkhead, use an `Arc`.
#[derive(Debug)]
pub struct Bulkhead {
    /// For the calls that run or wait.
    admitted: Semaphore,
    /// For the calls that run.
    running: Semaphore,
}

/// The bulkhead runs and queues as many calls as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue is full")]
pub struct Full;

impl Bulkhead {
    /// Returns a bulkhead in which `max_concurrent` calls run and `max_queued` wait.
    ///
    /// # Panics
    ///
    /// If `max_concurrent` is 0, or both together exceed [`Semaphore::MAX_PERMITS`].
    pub fn new(max_concurrent: usize, max_queued: usize) -> Self {
        assert!(max_concurrent > 0, "no call could ever run");
        Self {
            admitted: Semaphore::new(max_concurrent.saturating_add(max_queued)),
            running: Semaphore::new(max_concurrent),
        }
    }

    /// Waits for a permit, and then calls the closure and awaits its future.
    ///
    /// If the call returns a `Result`, `bulkhead.run(call).await??` converts both errors.
    /// Tasks that the call spawns are not counted.
    ///
    /// Cancel-safe: dropping the future drops the call and releases its permits. If a
    /// `select!` keeps the future without polling it, the queue is blocked (see
    /// the example `futurelock`).
    ///
    /// # Errors
    ///
    /// [`Full`], immediately. The closure was not called.
    ///
    /// # Panics
    ///
    /// When the call does. The permits are released.
    pub async fn run<F: Future>(
        &self,
        call: impl FnOnce() -> F,
    ) -> Result<F::Output, Full> {
        let _admitted = self.admitted.try_acquire().map_err(|_| Full)?;
        let running = self.running.acquire().await;
        let _running = running.expect("nobody closes the semaphore");
        Ok(call().await)
    }
}

/// Looks up hosts, two at a time and one in the queue: `cargo run -- localhost:80 ...`.
#[tokio::main]
async fn main() {
    let bulkhead = Bulkhead::new(2, 1);
    let look_up = async |host: String| match bulkhead
        .run(|| tokio::net::lookup_host(&host))
        .await
    {
        Ok(Ok(addresses)) => println!("{host}: addresses: {}", addresses.count()),
        Ok(Err(error)) => println!("{host}: {error}"),
        Err(full) => println!("{host}: {full}"),
    };
    futures::future::join_all(std::env::args().skip(1).map(look_up)).await;
}

//@ try: localhost:1 localhost:2 localhost:3 localhost:4 localhost:5 localhost:6 localhost:7 localhost:8 localhost:9 localhost:10 localhost:11 localhost:12 -> : the queue is full
