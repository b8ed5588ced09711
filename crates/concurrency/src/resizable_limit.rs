//! Change a limit of concurrent calls while they run; a heavy call takes several permits.
//!
//! A `tokio::sync::Semaphore` can grow with `add_permits`, but cannot shrink below the
//! permits in use, because `forget_permits` removes only free permits. So
//! `ResizableLimit` below keeps a counter, and its `acquire` waits until the permits of
//! the call fit. Running calls are not disturbed: if you lower the limit, new calls wait
//! until enough running calls have ended.
//!
//! `asyncio.Semaphore` cannot be resized either. In Python, write the same counter.
//!
//! Bounds: At most `limit` permits are in use; above that, `acquire` waits. Unbounded:
//! The number of waiting callers.
//!
//! Trap: If a call asks for more permits than the limit, it waits until the limit
//! grows. All callers behind this call wait too, because waiters are served first come,
//! first served. Refuse such a call before `acquire`.
//!
//! See also: `semaphore`, `limit_concurrency`, `token_bucket`.
//!
//! asyncio: asyncio.Semaphore, asyncio.Condition

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{self, Notify};
use tokio::time::sleep;

/// A limit of concurrent calls that can be changed at any time.
#[derive(Debug)]
pub struct ResizableLimit {
    permits: Mutex<Counts>,
    /// Held by the waiter that is served next.
    queue: sync::Mutex<()>,
    /// Permits were released, or the limit has changed.
    changed: Notify,
}

#[derive(Debug)]
struct Counts {
    limit: usize,
    taken: usize,
}

impl ResizableLimit {
    /// Returns a limit of this many permits.
    pub fn new(limit: usize) -> Self {
        Self {
            permits: Mutex::new(Counts { limit, taken: 0 }),
            queue: sync::Mutex::new(()),
            changed: Notify::new(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the limit. Running calls keep their permits: after the limit was lowered,
    /// no call gets a permit until enough have ended. At 0, no call gets one.
    pub fn resize(&self, limit: usize) {
        self.counts().limit = limit;
        self.changed.notify_one();
    }

    /// Waits for `weight` permits. They are released when the result is dropped.
    ///
    /// Cancel safety: a dropped call takes no permit. If a `select!` pauses a waiting
    /// call without dropping it, the call holds up the callers behind it (`futurelock`).
    pub async fn acquire(&self, weight: u32) -> Permits<'_> {
        let weight = weight as usize;
        let _next = self.queue.lock().await;
        while !self.try_take(weight) {
            self.changed.notified().await;
        }
        Permits {
            limit: self,
            weight,
        }
    }

    fn try_take(&self, weight: usize) -> bool {
        let mut counts = self.counts();
        let fits = weight <= counts.limit.saturating_sub(counts.taken);
        if fits {
            counts.taken += weight;
        }
        fits
    }
}

/// Some permits of a limit.
#[derive(Debug)]
#[must_use = "permits that are dropped immediately limit nothing"]
pub struct Permits<'a> {
    limit: &'a ResizableLimit,
    weight: usize,
}

impl Drop for Permits<'_> {
    fn drop(&mut self) {
        self.limit.counts().taken -= self.weight;
        // If nobody waits yet, the next waiter looks twice, which is harmless.
        self.limit.changed.notify_one();
    }
}

async fn call(name: &str, weight: u32, limit: &ResizableLimit) {
    let _permits = limit.acquire(weight).await;
    println!("{name} runs");
    sleep(Duration::from_millis(100)).await;
}

#[tokio::main]
async fn main() {
    let limit = ResizableLimit::new(1);
    println!("One at a time, then two:");
    let grow = async {
        sleep(Duration::from_millis(50)).await;
        limit.resize(2);
    };
    let calls = ["A", "B", "C", "D"].map(|name| call(name, 1, &limit));
    tokio::join!(futures::future::join_all(calls), grow);

    println!("A heavy call takes both permits:");
    tokio::join!(call("Heavy", 2, &limit), call("Light", 1, &limit));

    println!("Two at a time, then one:");
    let shrink = async {
        sleep(Duration::from_millis(50)).await;
        limit.resize(1);
    };
    let calls = ["E", "F", "G", "H"].map(|name| call(name, 1, &limit));
    tokio::join!(futures::future::join_all(calls), shrink);
}
