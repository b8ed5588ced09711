//! Limit concurrency with a semaphore: so many at once, the rest wait for a permit.
//!
//! Where the permit is taken decides what waits. Inside the task, as is common in Python,
//! all tasks are made and most of them wait: a million requests are a million tasks in
//! memory. Before the spawn, the loop that makes them waits, and with it whoever sends
//! the requests. A permit is given back when it is dropped, also by a worker that fails
//! or is aborted; to move it into a task, take it with `acquire_owned` from an `Arc`. The
//! trap is `let _ = semaphore.acquire().await`, which drops it at once: give it a name.
//! Who waits is served in the order of coming.
//!
//! asyncio: asyncio.Semaphore, asyncio.Semaphore.acquire, asyncio.Semaphore.release

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{AcquireError, Semaphore};
use tokio::task::JoinSet;
use tokio::time::sleep;

const PERMITS: usize = 2;
const WORKERS: u32 = 5;

async fn work(name: u32) -> Result<(), String> {
    println!("W{name} works");
    sleep(Duration::from_millis(400)).await;
    if name == 1 {
        return Err(format!("W{name} failed"));
    }
    println!("W{name} is done");
    Ok(())
}

/// Takes its permit itself. The error would be a semaphore that was closed.
pub async fn limited(name: u32, semaphore: Arc<Semaphore>) -> Result<(), AcquireError> {
    let _permit = semaphore.acquire().await?;
    if let Err(error) = work(name).await {
        println!("{error}");
    }
    Ok(())
}

/// A request comes every 50 ms, if somebody takes it.
async fn next_request() {
    sleep(Duration::from_millis(50)).await;
}

pub async fn run() -> Result<(), AcquireError> {
    println!("Permits inside the tasks:");
    let semaphore = Arc::new(Semaphore::new(PERMITS));
    let mut tasks = JoinSet::new();
    for name in 0..WORKERS {
        next_request().await;
        println!("making W{name}");
        tasks.spawn(limited(name, Arc::clone(&semaphore)));
    }
    println!("{} tasks", tasks.len());
    tasks
        .join_all()
        .await
        .into_iter()
        .collect::<Result<(), _>>()?;

    println!("Permits before the spawn:");
    let mut tasks = JoinSet::new();
    for name in 0..WORKERS {
        next_request().await;
        let permit = Arc::clone(&semaphore).acquire_owned().await?;
        println!("making W{name}");
        tasks.spawn(async move {
            let _permit = permit;
            if let Err(error) = work(name).await {
                println!("{error}");
            }
        });
    }
    println!("the last is made");
    tasks.join_all().await;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), AcquireError> {
    run().await
}
