//! Best practices: five dos and don'ts, each with what the mistake costs.
//!
//! - Await independent calls together (`sequential_vs_concurrent`, `gather`).
//! - Handle the error that you know, and return the others (`try_except`).
//! - Release a resource in a guard's `Drop` (`drop_guard`, `async_resource`).
//! - Send blocking calls to a thread (`blocking_in_threads`, `cpu_bound`).
//! - Spawn a call only if it has to run next to other work. Dropping a caller also
//!   drops a call that it awaits, but a spawned task keeps running (`drop_or_detach`,
//!   `spawn_tasks`).
//!
//! A sixth needs no demonstration: a program has one runtime, and `main` starts it
//! (`hello_async`). To call async code from sync code, see `call_async_from_sync`.
//!
//! See also: `pitfalls`.
//!
//! asyncio: asyncio.run, asyncio.gather, asyncio.create_task, asyncio.to_thread
//! differs: a task of asyncio is cancelled with its awaiting caller, one of Tokio is not

use std::error::Error;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use tokio::time::sleep;

const STEP: Duration = Duration::from_millis(200);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    #[error("nobody sells it")]
    NotFound,
    #[error("the server is busy")]
    Busy,
}

/// Simulates a request to a server.
pub async fn price(article: &str) -> Result<u32, PriceError> {
    sleep(STEP).await;
    match article {
        "tea" => Ok(3),
        "pot" => Ok(20),
        "sugar" => Err(PriceError::Busy),
        _ => Err(PriceError::NotFound),
    }
}

/// Returns the price, or 0 if nobody sells the article. Other errors are returned.
pub async fn price_if_sold(article: &str) -> Result<u32, PriceError> {
    match price(article).await {
        Err(PriceError::NotFound) => Ok(0),
        price => price,
    }
}

/// The mistake: `?` returns before the connection is closed.
pub async fn closed_by_hand(open: &AtomicU32) -> Result<u32, PriceError> {
    open.fetch_add(1, Relaxed);
    let price = price("sugar").await?;
    open.fetch_sub(1, Relaxed);
    Ok(price)
}

pub async fn closed_by_a_guard(open: &AtomicU32) -> Result<u32, PriceError> {
    open.fetch_add(1, Relaxed);
    let _connection = Connection(open);
    price("sugar").await
}

struct Connection<'a>(&'a AtomicU32);

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn blocking_call() {
    thread::sleep(3 * STEP);
    println!("the call has ended");
}

async fn heartbeat() {
    for _ in 0..2 {
        sleep(STEP).await;
        println!("heartbeat");
    }
}

async fn write_file() {
    sleep(2 * STEP).await;
    println!("the file is written");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("Don't await one call after the other:");
    println!("total: {}", price("tea").await? + price("pot").await?);
    println!("Do await them together:");
    let (tea, pot) = tokio::try_join!(price("tea"), price("pot"))?;
    println!("total: {}", tea + pot);

    println!("Don't swallow all errors:");
    println!("sugar: {}", price("sugar").await.unwrap_or(0));
    println!("Do handle the error that you know, and return the others:");
    for article in ["unicorn", "sugar"] {
        match price_if_sold(article).await {
            Ok(price) => println!("{article}: {price}"),
            Err(error) => println!("{article}: {error}"),
        }
    }

    let open = AtomicU32::new(0);
    println!("Don't close by hand:");
    let failed = closed_by_hand(&open).await.is_err();
    println!("failed: {failed}, still open: {}", open.swap(0, Relaxed));
    println!("Do close in a guard:");
    let failed = closed_by_a_guard(&open).await.is_err();
    println!("failed: {failed}, still open: {}", open.swap(0, Relaxed));

    println!("Don't block:");
    tokio::join!(biased; heartbeat(), async { blocking_call() });
    println!("Do block in a thread:");
    tokio::join!(heartbeat(), tokio::task::spawn_blocking(blocking_call)).1?;

    println!("Don't spawn what you await at once:");
    let written = async { tokio::spawn(write_file()).await };
    if tokio::time::timeout(STEP, written).await.is_err() {
        println!("timed out");
    }
    sleep(2 * STEP).await;
    println!("Do await it:");
    if tokio::time::timeout(STEP, write_file()).await.is_err() {
        println!("timed out");
    }
    println!("Do spawn what has to run beside other work:");
    let written = tokio::spawn(write_file());
    println!("price of tea: {}", price("tea").await?);
    Ok(written.await?)
}

//@ clock: real
