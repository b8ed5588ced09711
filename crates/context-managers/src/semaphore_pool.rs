//! A pool as a context manager: a permit is released when its guard is dropped.
//!
//! A permit is a value, and its `Drop` releases it: on return, on an error, in a panic
//! and when the task is aborted. The release awaits nothing and cannot be forgotten.
//!
//! Trap: a permit that is released by hand, after the work, is lost if a `?` comes
//! before. Python only warns of an `async def release` that `__aexit__` does not await.
//!
//! Trap: `add_permits` can release more than was acquired. Only Python's
//! `BoundedSemaphore` raises an error then; a guard releases exactly once.
//!
//! See also: `semaphore`, `connection_pool`, `bulkhead`.
//!
//! asyncio: asyncio.Semaphore, async with, __aenter__, __aexit__, asyncio.timeout
//! asyncio: asyncio.BoundedSemaphore, asyncio.BoundedSemaphore.release
//! stderr: user F has a bug

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

/// A number of permits. Clones share them.
#[derive(Clone, Debug)]
pub struct Pool {
    semaphore: Arc<Semaphore>,
}

/// A permit, which is released when this is dropped. It borrows nothing, so it can be
/// kept in a struct or moved into a task.
#[derive(Debug)]
#[must_use = "a permit without a name is released at once"]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// Returns a pool of `size` permits.
    ///
    /// # Panics
    ///
    /// If `size` is 0, or more than [`Semaphore::MAX_PERMITS`].
    pub fn new(size: usize) -> Self {
        assert!(size > 0, "a pool needs a permit");
        let semaphore = Arc::new(Semaphore::new(size));
        Self { semaphore }
    }

    /// Waits for a permit, first come, first served. Cancel-safe.
    pub async fn acquire(&self) -> Permit {
        let permit = Arc::clone(&self.semaphore).acquire_owned().await;
        let _permit = permit.expect("the pool never closes its semaphore");
        Permit { _permit }
    }

    /// Returns how many permits are free.
    pub fn available_permits(&self) -> usize {
        self.semaphore.available_permits()
    }
}

async fn some_operation(name: &str) -> Result<(), String> {
    println!("{name} works");
    sleep(Duration::from_millis(400)).await;
    match name {
        "E" => Err(format!("{name} failed")),
        "F" => panic!("user {name} has a bug"),
        _ => {
            println!("{name} is done");
            Ok(())
        }
    }
}

async fn use_pool(pool: Pool, name: &'static str) -> Result<(), String> {
    let _permit = pool.acquire().await;
    some_operation(name).await
}

/// Keeps its permit as long as it exists.
struct Session {
    user: &'static str,
    _permit: Permit,
}

/// A pool whose permits are released by hand.
struct ByHand {
    semaphore: Semaphore,
}

impl ByHand {
    async fn acquire(&self) {
        let permit = self.semaphore.acquire().await;
        permit.expect("the semaphore is never closed").forget();
    }

    fn release(&self) {
        self.semaphore.add_permits(1);
    }
}

async fn use_by_hand(pool: &ByHand, name: &str) -> Result<(), String> {
    pool.acquire().await;
    some_operation(name).await?;
    pool.release();
    Ok(())
}

fn describe(outcome: Result<Result<(), String>, JoinError>) -> String {
    match outcome {
        Ok(Ok(())) => String::from("done"),
        Ok(Err(error)) => error,
        Err(error) if error.is_panic() => String::from("a bug"),
        Err(_) => String::from("cancelled"),
    }
}

pub async fn run() {
    let moment = Duration::from_millis(100);
    let pool = Pool::new(3);

    println!("Four users, three permits:");
    let mut users = JoinSet::new();
    for name in ["A", "B", "C", "D"] {
        users.spawn(use_pool(pool.clone(), name));
        sleep(moment).await;
    }
    users.join_all().await;
    println!("{} permits are free", pool.available_permits());

    println!("A user fails, one has a bug, one is cancelled:");
    let mut users = Vec::new();
    for name in ["E", "F", "G"] {
        users.push(tokio::spawn(use_pool(pool.clone(), name)));
        sleep(moment).await;
    }
    println!("{} permits are free", pool.available_permits());
    users[2].abort();
    for user in users {
        println!("{}", describe(user.await));
    }
    println!("{} permits are free", pool.available_permits());

    println!("A permit in a struct:");
    let session = Session {
        user: "H",
        _permit: pool.acquire().await,
    };
    println!(
        "{} is in, {} permits are free",
        session.user,
        pool.available_permits()
    );
    drop(session);
    println!("{} permits are free", pool.available_permits());

    println!("Two permits, released by hand if the work succeeds:");
    let pool = ByHand {
        semaphore: Semaphore::new(2),
    };
    for name in ["A", "E", "E", "B"] {
        let limit = Duration::from_secs(1);
        match timeout(limit, use_by_hand(&pool, name)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => println!("{error}"),
            Err(_) => println!("{name} timed out"),
        }
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
