//! A bulkhead: limit the calls to a service and the line before it, and refuse the rest.
//!
//! A semaphore alone has a line without end: when a service gets slow, requests pile up,
//! and if all services share it they wait behind the slow one. A bulkhead for each keeps
//! the others quick, and the line of each short: one call more is refused at once, with
//! an error type of its own, so that it is not taken for an error of the service. Who
//! waits is served in the order of coming; who gives up leaves its place to others, and
//! a call that fails, panics or is stopped does too. The trap is a call from within a
//! call of the same bulkhead: it waits for what holds its turn, as with any semaphore.
//! The crate `tower` does more: `ConcurrencyLimit`, `Buffer` and `LoadShed` are such
//! limits as layers around any of its services.
//!
//! asyncio: asyncio.Semaphore, contextlib.asynccontextmanager, asyncio.timeout

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

/// So many calls at once, and so many in line.
///
/// To share it between tasks, put it into an `Arc`.
#[derive(Debug)]
pub struct Bulkhead {
    /// For those who run and those who wait.
    places: Semaphore,
    /// For those who run.
    turns: Semaphore,
}

/// As many as may are running and waiting. The call was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("too many wait already")
    }
}

impl Error for Full {}

impl Bulkhead {
    /// For `at_once` calls that run, and `waiting` more that wait, which may be 0.
    ///
    /// # Panics
    ///
    /// If `at_once` is 0, or both together are more than [`Semaphore::MAX_PERMITS`].
    pub fn new(at_once: usize, waiting: usize) -> Self {
        assert!(at_once > 0, "a bulkhead that lets nothing through");
        Self {
            places: Semaphore::new(at_once.saturating_add(waiting)),
            turns: Semaphore::new(at_once),
        }
    }

    /// Awaits the call when it is its turn, in the order of coming.
    ///
    /// What the call returns may well be a `Result`: `bulkhead.run(call).await??` then
    /// turns either error into that of the caller. What the call spawns is not counted.
    ///
    /// A call from within a call takes a second turn: with `at_once` 1 it waits for ever,
    /// or, with `waiting` 0, it is refused.
    ///
    /// Cancel-safe: dropped at any moment, it drops the call and gives back its turn or
    /// its place. Once begun, keep awaiting it: left alone in a `select!` it holds up the
    /// line (`futurelock`).
    ///
    /// # Errors
    ///
    /// [`Full`], at once, and the call is dropped unused.
    ///
    /// # Panics
    ///
    /// When the call does; its turn is given back.
    pub async fn run<F: Future>(&self, call: F) -> Result<F::Output, Full> {
        let _place = self.places.try_acquire().map_err(|_| Full)?;
        let turn = self.turns.acquire().await;
        let _turn = turn.expect("nobody closes the semaphore");
        Ok(call.await)
    }
}

/// The services that a shop asks, each behind a bulkhead.
#[derive(Clone)]
pub struct Services {
    reviews: Arc<Bulkhead>,
    prices: Arc<Bulkhead>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("refused: {0}")]
    Refused(#[from] Full),
    #[error("failed: {0}")]
    Failed(#[from] NotFound),
    #[error("gave up")]
    TimedOut(#[from] Elapsed),
}

#[derive(Debug, thiserror::Error)]
#[error("nobody has reviewed {0}")]
struct NotFound(u32);

/// Stands for a service that has become slow.
async fn fetch_review(item: u32) -> Result<u32, NotFound> {
    println!("review {item}: asking");
    sleep(Duration::from_millis(600)).await;
    if item == 2 {
        Err(NotFound(item))
    } else {
        Ok(5)
    }
}

/// Stands for one that is as quick as ever.
async fn fetch_price(item: u32) -> u32 {
    println!("price {item}: asking");
    sleep(Duration::from_millis(50)).await;
    10 * item
}

impl Services {
    async fn review(&self, item: u32, patience: Duration) -> Result<u32, Failure> {
        let review = self.reviews.run(fetch_review(item));
        // The errors of the time limit, which is for the waiting too, of the bulkhead,
        // and of the service.
        Ok(timeout(patience, review).await???)
    }

    async fn price(&self, item: u32) -> Result<u32, Failure> {
        Ok(self.prices.run(fetch_price(item)).await?)
    }
}

/// Asks for a price from within a call of the same bulkhead.
async fn nested(bulkhead: &Bulkhead, patience: Duration) -> Result<u32, Failure> {
    let call = async { bulkhead.run(fetch_price(1)).await };
    Ok(timeout(patience, bulkhead.run(call)).await???)
}

fn report(what: &str, item: u32, result: Result<u32, Failure>) {
    match result {
        Ok(value) => println!("{what} {item}: {value}"),
        Err(failure) => println!("{what} {item}: {failure}"),
    }
}

/// Asks for five reviews, 0.1 s apart, with so many milliseconds of patience each, and
/// then for a price.
async fn ask_all(services: &Services, patience: [u64; 5]) -> Result<(), JoinError> {
    let mut requests = JoinSet::new();
    for (item, millis) in (1..).zip(patience) {
        let services = services.clone();
        requests.spawn(async move {
            let patience = Duration::from_millis(millis);
            report("review", item, services.review(item, patience).await);
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
    println!("One for both services: three at once, two in line:");
    let both = Arc::new(Bulkhead::new(3, 2));
    let (reviews, prices) = (Arc::clone(&both), both);
    ask_all(&Services { reviews, prices }, [2000; 5]).await?;

    println!("One for each: two reviews at once, two in line:");
    let reviews = Arc::new(Bulkhead::new(2, 2));
    let prices = Arc::new(Bulkhead::new(1, 0));
    ask_all(&Services { reviews, prices }, [2000; 5]).await?;

    println!("One review at once, one in line, both of which give up:");
    let reviews = Arc::new(Bulkhead::new(1, 1));
    let prices = Arc::new(Bulkhead::new(1, 0));
    let services = Services { reviews, prices };
    ask_all(&services, [450, 150, 2000, 2000, 2000]).await?;

    println!("A call within a call, with one in line, and with none:");
    for waiting in [1, 0] {
        let bulkhead = Bulkhead::new(1, waiting);
        let patience = Duration::from_millis(300);
        report("price", 1, nested(&bulkhead, patience).await);
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
