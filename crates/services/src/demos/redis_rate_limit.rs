//! Two processes that share the limits of their users.

use std::env;
use std::error::Error;
use std::process;
use std::time::Duration;

use futures::future::join_all;
use redis::RedisError;
use tokio::time::sleep;

use crate::redis_rate_limit::{RateLimiter, Refused, seconds};
use crate::redis_reconnect::Redis;

async fn call(process: u32, limiter: &RateLimiter<Redis>, user: &str) {
    match limiter.try_acquire(user).await {
        Ok(()) => println!("process {process}, {user}: 200 OK"),
        Err(Refused::RetryAfter(wait)) => {
            let wait = seconds(wait);
            println!("process {process}, {user}: 429, Retry-After: {wait}");
        }
        Err(error) => println!("process {process}, {user}: {error}"),
    }
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let url = env::var("REDIS_URL").map_err(|_| "set REDIS_URL")?;
    // Separate keys: another run may use the same server.
    let prefix = format!("rate_limit:{}:", process::id());
    let second = Duration::from_secs(1);
    let limiter = async || {
        let redis = Redis::connect(&url, second).await?;
        Ok::<_, RedisError>(RateLimiter::new(redis, &prefix, 3, second, second))
    };
    let (first, other) = (limiter().await?, limiter().await?);

    println!("Three calls at once, then one a second, for each user:");
    call(1, &first, "Ann").await;
    call(2, &other, "Ann").await;
    call(1, &first, "Ann").await;
    call(2, &other, "Ann").await;
    call(2, &other, "Ben").await;

    sleep(second).await;
    println!("A second later:");
    call(2, &other, "Ann").await;
    call(1, &first, "Ann").await;

    println!("Five calls from each process at once:");
    let limiters = [&first, &other].into_iter().cycle().take(10);
    let calls = join_all(limiters.map(|limiter| limiter.try_acquire("Cleo"))).await;
    let passed = calls.iter().filter(|result| result.is_ok()).count();
    println!("let through: {passed}");
    Ok(())
}
