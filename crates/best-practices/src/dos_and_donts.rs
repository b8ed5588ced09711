//! Best practices, dos and don'ts: each mistake with its damage, and the right way.
//!
//! - Await independent calls together (`sequential_vs_concurrent`).
//! - A future runs when it is awaited, a task at once (`lazy_futures`).
//! - Handle the error you know and return the others (`try_except`).
//! - Release in a guard's `Drop` (`drop_guard`).
//! - Blocking calls go to a thread (`blocking_in_threads`, `cpu_bound`).
//! - Await a call instead of spawning it: dropping the caller drops an awaited call, but
//!   leaves a task running (`drop_or_detach`).
//! - One runtime for the program: tasks end with their runtime (`call_async_from_sync`).
//!
//! Trap: with more than 30 futures `try_join_all` waits in list order. An error behind a
//! future that hangs is not returned: use `FuturesUnordered`, as here, or a `JoinSet`.
//!
//! See also: `pitfalls`.
//!
//! asyncio: asyncio.run, asyncio.gather, asyncio.create_task, asyncio.to_thread
//! clock: real
//! differs: a task of asyncio is cancelled with who awaits it, one of Tokio runs on

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use futures::TryStreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use tokio::join;
use tokio::runtime::{Builder, Handle};
use tokio::task::spawn_blocking;
use tokio::time::{interval, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

pub const STEP: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    #[error("nobody sells it")]
    NotFound,
    #[error("the server is busy")]
    Busy,
}

/// Stands for a request to a server.
async fn price(article: &str) -> Result<u32, PriceError> {
    sleep(STEP).await;
    match article {
        "tea" => Ok(3),
        "pot" => Ok(20),
        "cup" => Ok(5),
        "sugar" => Err(PriceError::Busy),
        _ => Err(PriceError::NotFound),
    }
}

async fn one_after_another(articles: &[&str]) -> Result<u32, PriceError> {
    let mut total = 0;
    for article in articles {
        total += price(article).await?;
    }
    Ok(total)
}

/// Returns the first error at once, however many requests there are.
pub async fn together(
    requests: impl IntoIterator<Item = impl Future<Output = Result<u32, PriceError>>>,
) -> Result<u32, PriceError> {
    let prices: FuturesUnordered<_> = requests.into_iter().collect();
    prices
        .try_fold(0, async |total, price| Ok(total + price))
        .await
}

/// Starts the request when the other work has ended.
async fn with_a_future(other_work: Duration) -> Result<u32, PriceError> {
    let price = price("tea");
    sleep(other_work).await;
    price.await
}

/// Starts the request at once. Dropping the future aborts it.
pub async fn with_a_task(
    other_work: Duration,
) -> Result<u32, Box<dyn Error + Send + Sync>> {
    let price = AbortOnDropHandle::new(tokio::spawn(price("tea")));
    sleep(other_work).await;
    Ok(price.await??)
}

async fn total_whatever_fails(articles: &[&str]) -> u32 {
    let prices = join_all(articles.iter().map(|article| price(article))).await;
    prices.into_iter().map(Result::unwrap_or_default).sum()
}

/// Counts an article that nobody sells as 0, and returns any other error.
async fn total(articles: &[&str]) -> Result<u32, PriceError> {
    let prices = join_all(articles.iter().map(|article| price(article))).await;
    let prices = prices.into_iter().map(|price| match price {
        Err(PriceError::NotFound) => Ok(0),
        price => price,
    });
    prices.sum()
}

/// How many connections are open.
static OPEN: AtomicU32 = AtomicU32::new(0);

struct Connection;

impl Connection {
    fn open() -> Self {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Closes by hand, and the `?` goes past it.
async fn closed_by_hand() -> Result<u32, PriceError> {
    OPEN.fetch_add(1, Ordering::Relaxed);
    let price = price("sugar").await?;
    OPEN.fetch_sub(1, Ordering::Relaxed);
    Ok(price)
}

async fn closed_by_drop() -> Result<u32, PriceError> {
    let _connection = Connection::open();
    price("sugar").await
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

async fn send_log() {
    sleep(STEP).await;
    println!("the log is sent");
}

/// Leaves a task behind.
async fn save() {
    tokio::spawn(send_log());
    println!("saved");
}

/// For code that is not async. Tasks that were spawned on the runtime end with it.
fn save_on_a_runtime_of_its_own() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(save());
    Ok(())
}

fn save_on_the_runtime(runtime: &Handle) {
    runtime.block_on(save());
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Each part begins at its time, however long the one before it took.
    let mut part = interval(8 * STEP);
    let articles = ["tea", "pot", "cup"];

    part.tick().await;
    println!("Don't await one after another:");
    println!("total: {}", one_after_another(&articles).await?);
    println!("Do await together:");
    println!("total: {}", together(articles.map(price)).await?);

    part.tick().await;
    println!("Don't take a future for a task:");
    println!("price: {}", with_a_future(2 * STEP).await?);
    println!("Do spawn what is to run meanwhile:");
    println!("price: {}", with_a_task(2 * STEP).await?);

    part.tick().await;
    let articles = ["tea", "unicorn", "sugar"];
    println!("Don't swallow errors:");
    println!("total: {}", total_whatever_fails(&articles).await);
    println!("Do handle the one you know, and pass on the rest:");
    for articles in [&articles[..2], &articles] {
        match total(articles).await {
            Ok(total) => println!("total: {total}"),
            Err(error) => println!("error: {error}"),
        }
    }

    part.tick().await;
    println!("Don't release by hand:");
    if let Err(error) = closed_by_hand().await {
        println!("{error}, and open: {}", OPEN.swap(0, Ordering::Relaxed));
    }
    println!("Do release by a guard:");
    if let Err(error) = closed_by_drop().await {
        println!("{error}, and open: {}", OPEN.load(Ordering::Relaxed));
    }

    part.tick().await;
    println!("Don't block:");
    join!(biased; heartbeat(), async { blocking_call() });
    println!("Do block in a thread:");
    let ((), ended) = join!(heartbeat(), spawn_blocking(blocking_call));
    ended?;

    part.tick().await;
    println!("Don't spawn what is awaited at once:");
    let written = async { tokio::spawn(write_file()).await };
    if timeout(STEP, written).await.is_err() {
        println!("given up");
    }
    sleep(2 * STEP).await;
    println!("Do await it:");
    if timeout(STEP, write_file()).await.is_err() {
        println!("given up");
    }

    part.tick().await;
    println!("Don't make a runtime for a call:");
    spawn_blocking(save_on_a_runtime_of_its_own).await??;
    sleep(2 * STEP).await;
    println!("Do give it the handle of the one there is:");
    let runtime = Handle::current();
    spawn_blocking(move || save_on_the_runtime(&runtime)).await?;
    sleep(2 * STEP).await;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
