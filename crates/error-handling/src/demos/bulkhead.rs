//! Reviews and prices of a shop, from two services, one of which has become slow.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};

use crate::bulkhead::{Bulkhead, Full};

/// The services of a shop, each behind a bulkhead.
#[derive(Clone)]
pub struct Services {
    reviews: Arc<Bulkhead>,
    prices: Arc<Bulkhead>,
}

#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("rejected: {0}")]
    Rejected(#[from] Full),
    #[error("failed: {0}")]
    Failed(#[from] NotFound),
    #[error("timed out")]
    TimedOut(#[from] Elapsed),
}

#[derive(Debug, thiserror::Error)]
#[error("nobody has reviewed {0}")]
struct NotFound(u32);

/// A service that has become slow.
async fn fetch_review(item: u32) -> Result<u32, NotFound> {
    println!("review {item}: requested");
    sleep(Duration::from_millis(1500)).await;
    match item {
        2 => Err(NotFound(item)),
        _ => Ok(5),
    }
}

/// A service that is as fast as ever.
async fn fetch_price(item: u32) -> u32 {
    println!("price {item}: requested");
    sleep(Duration::from_millis(50)).await;
    10 * item
}

impl Services {
    async fn review(&self, item: u32, limit: Duration) -> Result<u32, CallError> {
        let review = self.reviews.run(|| fetch_review(item));
        // The errors of the timeout, which includes the queue, of the bulkhead, and of
        // the service.
        Ok(timeout(limit, review).await???)
    }

    async fn price(&self, item: u32) -> Result<u32, CallError> {
        Ok(self.prices.run(|| fetch_price(item)).await?)
    }
}

fn report(what: &str, item: u32, result: Result<u32, CallError>) {
    match result {
        Ok(value) => println!("{what} {item}: {value}"),
        Err(error) => println!("{what} {item}: {error}"),
    }
}

/// Requests five reviews, 0.2 s apart, each with a timeout, and then a price.
async fn request_all(services: &Services, millis: [u64; 5]) -> Result<(), JoinError> {
    let mut requests = JoinSet::new();
    for (item, millis) in (1..).zip(millis) {
        let services = services.clone();
        requests.spawn(async move {
            let limit = Duration::from_millis(millis);
            report("review", item, services.review(item, limit).await);
        });
        sleep(Duration::from_millis(200)).await;
    }
    report("price", 1, services.price(1).await);
    while let Some(ended) = requests.join_next().await {
        ended?;
    }
    Ok(())
}

pub async fn run() -> Result<(), JoinError> {
    println!("One bulkhead for both services: 3 run, 2 wait:");
    let both = Arc::new(Bulkhead::new(3, 2));
    let (reviews, prices) = (Arc::clone(&both), both);
    request_all(&Services { reviews, prices }, [30_000; 5]).await?;

    println!("One for each: 2 reviews run, 2 wait:");
    let reviews = Arc::new(Bulkhead::new(2, 2));
    let prices = Arc::new(Bulkhead::new(1, 0));
    request_all(&Services { reviews, prices }, [30_000; 5]).await?;

    println!("1 review runs, 1 waits, and both time out:");
    let reviews = Arc::new(Bulkhead::new(1, 1));
    let prices = Arc::new(Bulkhead::new(1, 0));
    let services = Services { reviews, prices };
    request_all(&services, [900, 300, 30_000, 30_000, 30_000]).await
}
