//! A service with two handlers at the same time: an error, a slow handler, and the stop.

use std::error::Error;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use async_nats::Client;
use bytes::Bytes;
use futures::future::join_all;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::nats_request_reply::{Limits, call, serve};

type Failure = Box<dyn Error + Send + Sync>;

async fn greet(name: Bytes) -> Result<Bytes, &'static str> {
    let name = String::from_utf8_lossy(&name).into_owned();
    match name.as_str() {
        "" => return Err("a name is missing"),
        "Eve" => sleep(Duration::from_secs(1)).await,
        _ => sleep(Duration::from_millis(200)).await,
    }
    println!("{name} is greeted");
    Ok(format!("Hello, {name}").into())
}

async fn ask(client: &Client, subject: &str, name: &'static str, limit: u64) {
    let limit = Duration::from_millis(limit);
    match call(client, subject, name, limit).await {
        Ok(answer) => println!("reply: {}", String::from_utf8_lossy(&answer)),
        Err(error) => println!("no reply: {error}"),
    }
}

pub async fn run() -> Result<(), Failure> {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let url = std::env::var("NATS_URL").map_err(|_| "set NATS_URL=nats://HOST:PORT")?;
    let client = async_nats::connect(url).await?;
    let run = RUNS.fetch_add(1, Relaxed);
    let subject = format!("greet.{}.{run}", process::id());
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let limits = Limits {
        handlers: 2,
        runtime: Duration::from_millis(400),
        drain: Duration::from_secs(1),
    };

    at(200).await;
    println!("No service listens:");
    ask(&client, &subject, "Ada", 1000).await;

    let stop = CancellationToken::new();
    let requests = client
        .queue_subscribe(subject.clone(), subject.clone())
        .await?;
    let service = serve(client.clone(), requests, limits, stop.clone(), greet);
    let service = tokio::spawn(service);
    at(400).await;
    println!("Three requests, two handlers at the same time:");
    join_all(["Ada", "Bob", "Cid"].map(|name| ask(&client, &subject, name, 1000))).await;

    at(1000).await;
    println!("The handler fails, or takes too long:");
    ask(&client, &subject, "", 1000).await;
    ask(&client, &subject, "Eve", 1000).await;

    at(1600).await;
    println!("The caller gives up after 0.1 s:");
    ask(&client, &subject, "Ada", 100).await;

    at(2000).await;
    println!("The service stops while it handles a request:");
    tokio::join!(ask(&client, &subject, "Bob", 1000), async {
        at(2100).await;
        stop.cancel();
    });
    println!("aborted: {}", service.await?);
    ask(&client, &subject, "Cid", 1000).await;
    Ok(())
}
