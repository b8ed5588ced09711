//! Permits that come back too early, all together, and one by one.

use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{AcquireError, Semaphore};
use tokio::time::{sleep, timeout};

use crate::semaphore_rate_limiter::RateLimiter;

/// Limits how many calls run at the same time, and nothing else.
async fn hold_while_it_runs(name: u32, permits: &Semaphore) -> Result<(), AcquireError> {
    let _permit = permits.acquire().await?;
    println!("call {name}");
    sleep(Duration::from_millis(100)).await;
    Ok(())
}

/// The trap: all permits come back when the period ends, however late they were taken.
async fn refill(permits: &Semaphore, limit: usize, period: Duration) {
    sleep(period).await;
    permits.add_permits(limit);
}

async fn call_with(name: u32, permits: &Semaphore) -> Result<(), AcquireError> {
    permits.acquire().await?.forget();
    println!("call {name}");
    Ok(())
}

async fn call(name: u32, limiter: &RateLimiter) -> Result<(), AcquireError> {
    limiter.acquire().await?;
    println!("call {name}");
    Ok(())
}

pub async fn run() -> Result<(), AcquireError> {
    const LIMIT: usize = 2;
    let window = Duration::from_millis(500);
    let late = Duration::from_millis(400);

    println!("A permit while the call runs, of 2:");
    let permits = &Semaphore::new(LIMIT);
    let calls = [1, 2, 3, 4, 5].map(|name| hold_while_it_runs(name, permits));
    join_all(calls)
        .await
        .into_iter()
        .collect::<Result<(), _>>()?;

    println!("All permits come back each 0.5 s, the calls come after 0.4 s:");
    let permits = &Semaphore::new(LIMIT);
    let calls = async {
        sleep(late).await;
        join_all([1, 2, 3, 4].map(|name| call_with(name, permits))).await
    };
    let ((), calls) = tokio::join!(biased; refill(permits, LIMIT, window), calls);
    calls.into_iter().collect::<Result<(), _>>()?;

    println!("Each permit comes back 0.5 s after it was taken:");
    let limiter = &RateLimiter::new(LIMIT, window);
    sleep(late).await;
    let calls = [1, 2, 3, 4, 5].map(|name| call(name, limiter));
    join_all(calls)
        .await
        .into_iter()
        .collect::<Result<(), _>>()?;

    println!("A caller that gives up does not count:");
    let gives_up = async {
        let patience = Duration::from_millis(100);
        match timeout(patience, call(7, limiter)).await {
            Ok(called) => called,
            Err(_) => {
                println!("call 7 gave up");
                Ok(())
            }
        }
    };
    let calls = tokio::join!(biased; call(6, limiter), gives_up, call(8, limiter));
    calls.0.and(calls.1).and(calls.2)?;

    sleep(Duration::from_millis(100)).await;
    println!("Without waiting:");
    for name in [9, 10] {
        match limiter.try_acquire() {
            Ok(_) => println!("call {name}"),
            Err(error) => println!("call {name}: {error}"),
        }
    }
    Ok(())
}
