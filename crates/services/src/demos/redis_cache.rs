//! Two processes that ask for the same prices, and a price that changes during its load.

use std::env;
use std::error::Error;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use futures::future::join_all;
use redis::RedisError;
use tokio::join;
use tokio::time::sleep;

use crate::redis_cache::{LoadError, RedisCache};
use crate::redis_reconnect::Redis;

/// A price list that is slow.
#[derive(Clone, Default)]
struct Prices(Arc<AtomicU32>);

impl Prices {
    async fn load(self, item: &'static str) -> Result<String, &'static str> {
        println!("loading the price of {item}");
        let price = self.0.load(SeqCst);
        sleep(Duration::from_millis(250)).await;
        if item == "cake" {
            return Err("there is no cake");
        }
        Ok(price.to_string())
    }
}

fn show(result: Result<String, LoadError<&'static str>>) -> String {
    result.unwrap_or_else(|error| error.to_string())
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let url = env::var("REDIS_URL").map_err(|_| "set REDIS_URL")?;
    // Separate keys: another run may use the same server.
    let prefix = format!("prices:{}:", process::id());
    let limit = Duration::from_secs(1);
    let cache = async || {
        Ok::<_, RedisError>(RedisCache {
            redis: Redis::connect(&url, limit).await?,
            prefix: prefix.clone(),
            ttl: Duration::from_millis(500),
            jitter: Duration::ZERO,
            load_limit: limit,
            poll: Duration::from_millis(100),
            limit,
        })
    };
    let (first, second) = (cache().await?, cache().await?);
    let prices = Prices::default();
    let load = |item| prices.clone().load(item);

    println!("Two callers in each of two processes:");
    let callers = [&first, &second].into_iter().cycle().take(4);
    let callers = callers.map(|cache| cache.get_or_load("tea", load("tea")));
    let results = join_all(callers).await;
    let same = results.into_iter().all(|result| show(result) == "0");
    println!("all have the same price: {same}");

    sleep(Duration::from_millis(700)).await;
    println!("It has expired, and the price changes while it is loaded:");
    let changes = async {
        sleep(Duration::from_millis(100)).await;
        prices.0.store(1, SeqCst);
        second.remove("tea").await
    };
    let (old, changed) = join!(first.get_or_load("tea", load("tea")), changes);
    changed?;
    println!("this caller asked before the change: {}", show(old));
    let new = first.get_or_load("tea", load("tea")).await;
    println!("this one afterwards: {}", show(new));
    let kept = second.get_or_load("tea", load("tea")).await;
    println!("and this one has it from the cache: {}", show(kept));

    println!("A load fails, and the next caller loads:");
    println!("{}", show(first.get_or_load("cake", load("cake")).await));
    println!("{}", show(second.get_or_load("cake", load("cake")).await));
    first.remove("tea").await?;
    Ok(())
}
