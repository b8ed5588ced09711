//! Retry budget: retries are at most a share of the calls, even during an outage.
//!
//! Three attempts per call triple the load of a server just when it is overloaded. With a
//! budget, each call earns a part of a retry, and each retry costs a whole one. So single
//! failures are still retried. In an outage, the budget is soon spent, and calls fail at
//! the first error. Share one budget among all calls to a service.
//!
//! Bounds: A budget allows `burst` retries, and `percent` more for every 100 calls. An
//! attempt that hangs is not cut off: put a `timeout` into it.
//!
//! Trap: If several layers retry, their attempts multiply. If a client makes three
//! attempts, and for each of them the server makes three attempts at its database, the
//! database gets nine requests. Retry in one layer.
//!
//! In production: `tower`'s `TpsBudget` forgets calls after a time, and also allows a
//! fixed number of retries per second.
//!
//! See also: `retry`, `retry_jitter`, `circuit_breaker`, `bulkhead`.
//!
//! asyncio: asyncio.sleep, except, raise

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;

/// The price of a retry. Each call earns `percent`, so 100 calls earn `percent` retries.
const COST: u64 = 100;

/// Allows retries as a share of all calls.
#[derive(Debug)]
pub struct RetryBudget {
    balance: AtomicU64,
    percent: u64,
    capacity: u64,
}

impl RetryBudget {
    /// Returns a budget with `burst` retries, which is also the most that it saves up.
    pub fn new(percent: u32, burst: u32) -> Self {
        let capacity = u64::from(burst) * COST;
        Self {
            balance: AtomicU64::new(capacity),
            percent: u64::from(percent),
            capacity,
        }
    }

    /// Counts a call.
    pub fn deposit(&self) {
        let earn = |balance: u64| Some((balance + self.percent).min(self.capacity));
        let relaxed = Ordering::Relaxed;
        let _ = self.balance.fetch_update(relaxed, relaxed, earn);
    }

    /// Takes one retry from the budget. Returns whether one was left.
    pub fn withdraw(&self) -> bool {
        let spend = |balance: u64| balance.checked_sub(COST);
        let relaxed = Ordering::Relaxed;
        self.balance.fetch_update(relaxed, relaxed, spend).is_ok()
    }

    /// Calls until an attempt succeeds, there have been `max_attempts`, or the budget is
    /// spent. The backoff doubles after each retry.
    ///
    /// Dropping the future drops the running attempt. Retries that were spent stay spent.
    ///
    /// # Errors
    ///
    /// The error of the last attempt.
    pub async fn retry<T, E, Fut>(
        &self,
        max_attempts: u32,
        mut backoff: Duration,
        mut attempt: impl FnMut() -> Fut,
    ) -> Result<T, E>
    where
        Fut: Future<Output = Result<T, E>>,
    {
        self.deposit();
        for _ in 1..max_attempts {
            match attempt().await {
                Err(_) if self.withdraw() => {}
                result => return result,
            }
            sleep(backoff).await;
            backoff = backoff.saturating_mul(2);
        }
        attempt().await
    }
}

/// A server that counts its requests, and is down for some of them.
struct Server {
    down: std::ops::Range<u64>,
    requests: AtomicU64,
}

impl Server {
    fn new(down: std::ops::Range<u64>) -> Self {
        let requests = AtomicU64::new(0);
        Self { down, requests }
    }

    async fn get(&self) -> Result<(), &'static str> {
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        if self.down.contains(&request) {
            Err("unavailable")
        } else {
            Ok(())
        }
    }
}

/// Makes ten calls with this budget.
async fn make_calls(server: &Server, budget: &RetryBudget) {
    let mut served = 0;
    for _ in 0..10 {
        let backoff = Duration::from_millis(50);
        let result = budget.retry(3, backoff, || server.get()).await;
        served += u32::from(result.is_ok());
    }
    let requests = server.requests.load(Ordering::Relaxed);
    println!("10 calls: {requests} requests, {served} served");
}

#[tokio::main]
async fn main() {
    println!("One failure, retried:");
    make_calls(&Server::new(5..6), &RetryBudget::new(10, 2)).await;

    println!("An outage, three attempts a call:");
    make_calls(&Server::new(0..100), &RetryBudget::new(200, 2)).await;

    println!("An outage, with retries for 10 % of the calls:");
    make_calls(&Server::new(0..100), &RetryBudget::new(10, 2)).await;

    println!("Two layers, each with three attempts:");
    let (server, budget) = (Server::new(0..100), RetryBudget::new(200, 9));
    let backoff = Duration::from_millis(50);
    let inner = || budget.retry(3, backoff, || server.get());
    if let Err(error) = budget.retry(3, backoff, inner).await {
        let requests = server.requests.load(Ordering::Relaxed);
        println!("1 call: {requests} requests, {error}");
    }
}

//@ late: 50 (thirty waits before a line, each a millisecond longer than asked)
