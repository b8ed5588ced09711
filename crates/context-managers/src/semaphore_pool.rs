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

/// So many places. Clones share them.
#[derive(Clone)]
pub struct Pool {
    places: Arc<Semaphore>,
}

/// A place in a pool, which is free again when this is dropped. It borrows nothing, so it
/// can be kept in a struct or moved into a task.
#[must_use = "it is given back when it is dropped"]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// A pool of so many places. Of none, nobody ever gets one.
    ///
    /// # Panics
    ///
    /// If it is more than a semaphore counts, which is `Semaphore::MAX_PERMITS`.
    pub fn new(size: usize) -> Self {
        let places = Arc::new(Semaphore::new(size));
        Self { places }
    }

    /// Waits for a place, in the order of asking. Dropped while it waits, it leaves the
    /// line and holds nothing.
    pub async fn enter(&self) -> Place {
        let permit = Arc::clone(&self.places).acquire_owned().await;
        let _permit = permit.expect("the pool never closes its semaphore");
        Place { _permit }
    }

    /// How many places are free.
    pub fn free(&self) -> usize {
        self.places.available_permits()
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
    let _place = pool.enter().await;
    some_operation(name).await
}

/// Keeps its place as long as it exists.
struct Session {
    user: &'static str,
    _place: Place,
}

/// A pool whose places are given back by hand.
struct ByHand {
    places: Semaphore,
}

impl ByHand {
    async fn enter(&self) {
        let permit = self.places.acquire().await;
        permit.expect("the semaphore is never closed").forget();
    }

    fn leave(&self) {
        self.places.add_permits(1);
    }
}

async fn use_by_hand(pool: &ByHand, name: &str) -> Result<(), String> {
    pool.enter().await;
    some_operation(name).await?;
    pool.leave();
    Ok(())
}

fn describe(outcome: Result<Result<(), String>, JoinError>) -> String {
    match outcome {
        Ok(Ok(())) => String::from("done"),
        Ok(Err(error)) => error,
        Err(error) if error.is_panic() => String::from("a panic"),
        Err(_) => String::from("stopped"),
    }
}

pub async fn run() {
    let moment = Duration::from_millis(100);
    let pool = Pool::new(3);

    println!("Four users, three places:");
    let mut users = JoinSet::new();
    for name in ["A", "B", "C", "D"] {
        users.spawn(use_pool(pool.clone(), name));
        sleep(moment).await;
    }
    users.join_all().await;
    println!("{} places are free", pool.free());

    println!("A user fails, one has a bug, one is stopped:");
    let mut users = Vec::new();
    for name in ["E", "F", "G"] {
        users.push(tokio::spawn(use_pool(pool.clone(), name)));
        sleep(moment).await;
    }
    println!("{} places are free", pool.free());
    users[2].abort();
    for user in users {
        println!("{}", describe(user.await));
    }
    println!("{} places are free", pool.free());

    println!("A place in a struct:");
    let session = Session {
        user: "H",
        _place: pool.enter().await,
    };
    println!("{} is in, {} places are free", session.user, pool.free());
    drop(session);
    println!("{} places are free", pool.free());

    println!("Two places given back by hand, if the work goes well:");
    let pool = ByHand {
        places: Semaphore::new(2),
    };
    for name in ["A", "E", "E", "B"] {
        let patience = Duration::from_secs(1);
        match timeout(patience, use_by_hand(&pool, name)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => println!("{error}"),
            Err(_) => println!("{name} gave up"),
        }
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
