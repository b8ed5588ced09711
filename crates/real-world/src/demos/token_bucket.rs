//! Calls that get through too early, one after the other, in bursts, and never.

use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::token_bucket::{InsufficientCapacity, TokenBucket};

/// The trap: while it sleeps, others look as well. `full_at` is when the bucket of two
/// tokens is full.
async fn look_sleep_take(full_at: &Mutex<Instant>, interval: Duration) {
    let seen = *full_at.lock().await;
    if seen > Instant::now() + interval {
        sleep_until(seen - interval).await;
    }
    let mut full_at = full_at.lock().await;
    *full_at = Instant::now().max(*full_at) + interval;
}

async fn call(name: &str, bucket: &TokenBucket) {
    bucket.acquire().await;
    println!("call {name}");
}

pub async fn run() -> Result<(), InsufficientCapacity> {
    let interval = Duration::from_millis(200);

    println!("Look, sleep, and take:");
    let full_at = &Mutex::new(Instant::now());
    join_all(["1", "2", "3", "4", "5"].map(|name| async move {
        look_sleep_take(full_at, interval).await;
        println!("call {name}");
    }))
    .await;

    println!("One after the other:");
    let bucket = &TokenBucket::new(2, interval);
    join_all(["1", "2", "3", "4", "5"].map(|name| call(name, bucket))).await;

    println!("After a pause of three intervals, for two tokens:");
    sleep(3 * interval).await;
    join_all(["6", "7", "8"].map(|name| call(name, bucket))).await;

    println!("A caller that gives up takes nothing:");
    let gives_up = async {
        let patience = Duration::from_millis(100);
        if timeout(patience, call("9", bucket)).await.is_err() {
            println!("call 9 gave up");
        }
    };
    tokio::join!(biased; gives_up, call("10", bucket));

    println!("A caller that wants two tokens keeps its turn:");
    let two = async {
        bucket.acquire_many(2).await?;
        println!("call 11, of two");
        Ok(())
    };
    let (two, ()) = tokio::join!(biased; two, call("12", bucket));
    two?;

    println!("Three tokens never fit:");
    if let Err(error) = bucket.acquire_many(3).await {
        println!("{error}");
    }

    println!("Without waiting, after a pause:");
    sleep(3 * interval).await;
    for name in [13, 14, 15] {
        match bucket.try_acquire() {
            Ok(_) => println!("call {name}"),
            Err(error) => println!("call {name}: {error}"),
        }
    }
    Ok(())
}
