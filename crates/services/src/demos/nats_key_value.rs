//! A setting that is changed, by two tasks at the same time, and deleted.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::kv::Store;
use bytes::Bytes;
use futures::future::try_join_all;
use tokio::time::{Instant, sleep_until};

use crate::nats_key_value::{Failure, change, follow, open};

fn limit(value: Option<Bytes>) -> u32 {
    let text = value.unwrap_or_else(|| "10".into());
    String::from_utf8_lossy(&text).parse().unwrap_or(10)
}

pub async fn run() -> Result<(), Failure> {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let url = std::env::var("NATS_URL").map_err(|_| "set NATS_URL=nats://HOST:PORT")?;
    let context = jetstream::new(async_nats::connect(url).await?);
    let run = RUNS.fetch_add(1, Relaxed);
    let bucket = format!("settings_{}_{run}", process::id());
    let store = open(&context, &bucket).await?;
    let result = demonstrate(store).await;
    context.delete_key_value(bucket).await?;
    result
}

async fn demonstrate(store: Store) -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));

    at(200).await;
    println!("Nothing is set:");
    let report = |error| println!("{error}");
    let second = Duration::from_secs(1);
    let mut limits = follow(store.clone(), "limit", second, report).await?;
    println!("limit {}", limit(limits.borrow_and_update().clone()));
    let mut shown = limits.clone();
    let showing = tokio::spawn(async move {
        while shown.changed().await.is_ok() {
            println!(
                "changed: limit {}",
                limit(shown.borrow_and_update().clone())
            );
        }
    });

    at(300).await;
    println!("Set to 20:");
    store.put("limit", "20".into()).await?;

    at(500).await;
    showing.abort();
    println!("Five add 1 at once:");
    let add = || {
        let add = |value| (limit(value) + 1).to_string().into();
        change(&store, "limit", add)
    };
    try_join_all([add(), add(), add(), add(), add()]).await?;
    limits.wait_for(|value| limit(value.clone()) == 25).await?;
    println!("limit 25");

    at(700).await;
    println!("Deleted:");
    store.delete("limit").await?;
    limits.changed().await?;
    println!("limit {}", limit(limits.borrow().clone()));
    Ok(())
}
