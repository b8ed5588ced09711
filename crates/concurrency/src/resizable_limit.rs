//! Resize a limit while it runs: grow and shrink a semaphore, and permits with weights.
//!
//! `add_permits` grows a semaphore at once. To shrink it, `forget_permits` takes free
//! permits only. This limit counts the others as debt: each is forgotten when its holder
//! drops it. A heavy call takes several permits at once.
//!
//! `asyncio.Semaphore` has neither, so the twin is a counter with a condition.
//!
//! Bounds: the permits. unbounded: callers that wait.
//!
//! Trap: a weight above the limit waits until the limit grows, and holds up all callers
//! behind it: waiters are served first come, first served.
//!
//! See also: `semaphore`, `limit_concurrency`, `token_bucket`.
//!
//! asyncio: asyncio.Semaphore, asyncio.Condition

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::join;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::sleep;

/// A limit of concurrent calls that can be changed at any time.
#[derive(Debug)]
pub struct ResizableLimit {
    semaphore: Semaphore,
    size: Mutex<Size>,
}

#[derive(Debug)]
struct Size {
    limit: usize,
    /// How many permits are to be forgotten when they are dropped.
    debt: usize,
}

impl ResizableLimit {
    /// Returns a limit of this many permits.
    ///
    /// # Panics
    ///
    /// Above [`Semaphore::MAX_PERMITS`].
    pub fn new(limit: usize) -> Self {
        Self {
            semaphore: Semaphore::new(limit),
            size: Mutex::new(Size { limit, debt: 0 }),
        }
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the limit. Calls that run are not disturbed: after the limit was lowered,
    /// new ones wait until enough have ended.
    ///
    /// # Panics
    ///
    /// Above [`Semaphore::MAX_PERMITS`].
    pub fn resize(&self, limit: usize) {
        let mut size = self.size();
        if let Some(less) = size.limit.checked_sub(limit) {
            size.debt += less - self.semaphore.forget_permits(less);
        } else {
            let more = limit - size.limit;
            let paid = more.min(size.debt);
            size.debt -= paid;
            self.semaphore.add_permits(more - paid);
        }
        size.limit = limit;
    }

    /// Waits for `weight` permits. They are released when the result is dropped.
    ///
    /// Cancel safety: a dropped call takes no permit.
    pub async fn acquire(&self, weight: u32) -> Permits<'_> {
        let permits = self.semaphore.acquire_many(weight).await;
        let permits = permits.expect("nothing closes this semaphore");
        Permits {
            limit: self,
            permits,
        }
    }
}

/// Some permits of a limit.
#[derive(Debug)]
#[must_use = "permits that are dropped at once limit nothing"]
pub struct Permits<'a> {
    limit: &'a ResizableLimit,
    permits: SemaphorePermit<'a>,
}

impl Drop for Permits<'_> {
    fn drop(&mut self) {
        let mut size = self.limit.size();
        let owed = size.debt.min(self.permits.num_permits());
        if let Some(owed) = self.permits.split(owed) {
            size.debt -= owed.num_permits();
            owed.forget();
        }
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
    println!("One at once, then two:");
    let grow = async {
        sleep(Duration::from_millis(50)).await;
        limit.resize(2);
    };
    let calls = ["A", "B", "C", "D"].map(|name| call(name, 1, &limit));
    join!(futures::future::join_all(calls), grow);

    println!("A heavy call takes both permits:");
    join!(call("Heavy", 2, &limit), call("Light", 1, &limit));

    println!("Two at once, then one:");
    let shrink = async {
        sleep(Duration::from_millis(50)).await;
        limit.resize(1);
    };
    let calls = ["E", "F", "G", "H"].map(|name| call(name, 1, &limit));
    join!(futures::future::join_all(calls), shrink);
}
