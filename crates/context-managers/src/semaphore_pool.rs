//! A pool as a context manager: a place becomes free when its guard is dropped.
//!
//! A permit of a `Semaphore` is a place in the pool, and at the same time the guard: when
//! it is dropped, the place is free. So a place is released on return, on an error, in a
//! panic and when the task is aborted. The release does not await, so no `await` can be
//! forgotten. A struct, such as `Session` below, can keep an owned permit.
//!
//! Trap: If you release a permit by hand after the work, a `?` in the work skips the
//! release, and the place is lost. Keep the permit in a variable or a struct, and let its
//! drop release the place. In Python, an `async def release` that `__aexit__` does not
//! await never runs, and Python only prints a warning.
//!
//! Trap: If you release with `add_permits`, you can release more permits than were
//! acquired, and the limit grows without an error. Python's `BoundedSemaphore` raises an
//! error then. Drop the guard instead: a guard releases exactly once.
//!
//! See also: `semaphore`, `simple_pool`, `connection_pool`, `bulkhead`.
//!
//! asyncio: asyncio.Semaphore, async with, __aenter__, __aexit__
//! asyncio: asyncio.BoundedSemaphore, asyncio.BoundedSemaphore.release

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

type Pool = Arc<Semaphore>;

/// A user of the pool. Dropping the session releases its permit.
struct Session {
    user: &'static str,
    _permit: OwnedSemaphorePermit,
}

/// Waits for a permit. Fails only if the semaphore was closed.
async fn enter(pool: Pool, user: &'static str) -> Result<Session, AcquireError> {
    let _permit = pool.acquire_owned().await?;
    println!("{user} enters");
    Ok(Session { user, _permit })
}

async fn work(user: &str) -> Result<(), String> {
    sleep(Duration::from_millis(350)).await;
    match user {
        "E" => Err(format!("{user} failed")),
        "F" => panic!("{user} has a bug"),
        _ => Ok(()),
    }
}

/// Works with a permit. The session is dropped however the function ends.
async fn use_pool(pool: Pool, user: &'static str) -> Result<(), String> {
    let session = enter(pool, user).await.map_err(|error| error.to_string())?;
    work(session.user).await
}

#[tokio::main]
async fn main() {
    let pool = Arc::new(Semaphore::new(3));

    println!("Three permits: D waits, E fails, F has a bug, G is cancelled:");
    let mut users = Vec::new();
    for user in ["A", "E", "F", "D", "G"] {
        users.push(tokio::spawn(use_pool(Arc::clone(&pool), user)));
        sleep(Duration::from_millis(100)).await;
    }
    println!("{} permits are free", pool.available_permits());
    users[4].abort();
    for user in users {
        match user.await {
            Ok(Ok(())) => println!("done"),
            Ok(Err(error)) => println!("{error}"),
            Err(error) if error.is_panic() => println!("a bug"),
            Err(_) => println!("cancelled"),
        }
    }
    println!("{} permits are free", pool.available_permits());
}

//@ stderr: F has a bug
