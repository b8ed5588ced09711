//! Bulkhead: limit the calls to a service and the queue before it, and reject the rest.
//!
//! A semaphore alone has a queue without a limit. When a service gets slow, requests pile
//! up, and requests for other services wait behind them if all share the semaphore. Give
//! each service a bulkhead of its own: its queue is short, and a call that finds it full
//! is rejected at once. Queued calls are served first come, first served.
//!
//! Bounds: `max_concurrent` calls run and `max_queued` wait. Limit their time as well.
//!
//! Trap: a call inside a call of the same bulkhead waits for the permit that the outer
//! call holds. It waits for ever, or is rejected if there is no queue.
//!
//! In production: `tower`'s `ConcurrencyLimit` and `LoadShed` are layers around any
//! service. They have no queue: a call that would wait is rejected.
//!
//! See also: `semaphore`, `circuit_breaker`, `timeouts`.
//!
//! asyncio: asyncio.Semaphore, contextlib.asynccontextmanager, asyncio.timeout

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

/// Limits how many calls run and how many wait. Put it into an `Arc` to share it.
#[derive(Debug)]
pub struct Bulkhead {
    /// For the calls that run or wait.
    admitted: Semaphore,
    /// For the calls that run.
    running: Semaphore,
}

/// As many calls as allowed are running and waiting.
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
    /// `select!` stops polling it, it blocks the queue (`futurelock`).
    ///
    /// # Errors
    ///
    /// [`Full`], at once. The closure was not called.
    ///
    /// # Panics
    ///
    /// When the call does. Its permits are released.
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

/// The services of a shop, each behind a bulkhead.
#[derive(Clone)]
pub struct Services {
    reviews: Arc<Bulkhead>,
    prices: Arc<Bulkhead>,
}

#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("rejected: {0}")]
    Rejected(#[from] Full),
    #[error("failed: {0}")]
    Failed(#[from] NotFound),
    #[error("timed out")]
    TimedOut(#[from] Elapsed),
}

#[derive(Debug, thiserror::Error)]
#[error("nobody has reviewed {0}")]
struct NotFound(u32);

/// A service that has become slow.
async fn fetch_review(item: u32) -> Result<u32, NotFound> {
    println!("review {item}: requested");
    sleep(Duration::from_millis(600)).await;
    match item {
        2 => Err(NotFound(item)),
        _ => Ok(5),
    }
}

/// A service that is as fast as ever.
async fn fetch_price(item: u32) -> u32 {
    println!("price {item}: requested");
    sleep(Duration::from_millis(50)).await;
    10 * item
}

impl Services {
    async fn review(&self, item: u32, limit: Duration) -> Result<u32, CallError> {
        let review = self.reviews.run(|| fetch_review(item));
        // The errors of the timeout, which includes the queue, of the bulkhead, and of
        // the service.
        Ok(timeout(limit, review).await???)
    }

    async fn price(&self, item: u32) -> Result<u32, CallError> {
        Ok(self.prices.run(|| fetch_price(item)).await?)
    }
}

fn report(what: &str, item: u32, result: Result<u32, CallError>) {
    match result {
        Ok(value) => println!("{what} {item}: {value}"),
        Err(error) => println!("{what} {item}: {error}"),
    }
}

/// Requests five reviews, 0.1 s apart, each with a timeout, and then a price.
async fn request_all(services: &Services, millis: [u64; 5]) -> Result<(), JoinError> {
    let mut requests = JoinSet::new();
    for (item, millis) in (1..).zip(millis) {
        let services = services.clone();
        requests.spawn(async move {
            let limit = Duration::from_millis(millis);
            report("review", item, services.review(item, limit).await);
        });
        sleep(Duration::from_millis(100)).await;
    }
    report("price", 1, services.price(1).await);
    while let Some(ended) = requests.join_next().await {
        ended?;
    }
    Ok(())
}

pub async fn run() -> Result<(), JoinError> {
    println!("One bulkhead for both services: 3 run, 2 wait:");
    let both = Arc::new(Bulkhead::new(3, 2));
    let (reviews, prices) = (Arc::clone(&both), both);
    request_all(&Services { reviews, prices }, [2000; 5]).await?;

    println!("One for each: 2 reviews run, 2 wait:");
    let reviews = Arc::new(Bulkhead::new(2, 2));
    let prices = Arc::new(Bulkhead::new(1, 0));
    request_all(&Services { reviews, prices }, [2000; 5]).await?;

    println!("1 review runs, 1 waits, and both time out:");
    let reviews = Arc::new(Bulkhead::new(1, 1));
    let prices = Arc::new(Bulkhead::new(1, 0));
    let services = Services { reviews, prices };
    request_all(&services, [450, 150, 2000, 2000, 2000]).await
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
