//! A subscriber whose connection is cut, and that reads too slowly.

use std::env;
use std::error::Error;
use std::process;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, Client, IntoConnectionInfo};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep, sleep_until};

use crate::redis_pub_sub::{Event, Limits, subscribe};

type Failure = Box<dyn Error + Send + Sync>;

/// Lets the subscriber in, under its own name.
async fn admit(redis: &mut MultiplexedConnection, user: &str) -> Result<(), Failure> {
    let mut rules = redis::cmd("ACL");
    rules
        .arg("SETUSER")
        .arg(user)
        .arg(&["on", ">secret", "&*", "+@all"]);
    Ok(rules.query_async(redis).await?)
}

/// Cuts the subscriber's connection, and refuses it until it is admitted.
async fn expel(redis: &mut MultiplexedConnection, user: &str) -> Result<(), Failure> {
    let mut rules = redis::cmd("ACL");
    Ok(rules.arg("DELUSER").arg(user).query_async(redis).await?)
}

async fn read(events: &mut Receiver<Event>) {
    match events.recv().await {
        Some(Event::Message(text)) => println!("got {text}"),
        Some(Event::Gap) => println!("got a gap"),
        None => println!("the end"),
    }
}

pub async fn run() -> Result<(), Failure> {
    let url = env::var("REDIS_URL").map_err(|_| "set REDIS_URL")?;
    let mut redis = Client::open(url.as_str())?
        .get_multiplexed_async_connection()
        .await?;
    // A separate name: another run may use the same server.
    let name = format!("news:{}", process::id());
    admit(&mut redis, &name).await?;
    let info = url.into_connection_info()?;
    let settings = info.redis_settings().clone();
    let settings = settings.set_username(&name).set_password("secret");
    let client = Client::open(info.set_redis_settings(settings))?;
    let limits = Limits {
        capacity: 2,
        answer: Duration::from_secs(1),
        ping: Duration::from_secs(5),
        pause: Duration::from_millis(100),
    };
    let mut events = subscribe(client, &name, limits).await?;
    let start = Instant::now();
    let publish = async |text: &str| {
        let subscribers: u32 = redis.clone().publish(&name, text).await?;
        println!("published {text}, subscribers: {subscribers}");
        Ok::<_, Failure>(())
    };

    publish("tea").await?;
    read(&mut events).await;

    println!("The connection is cut:");
    expel(&mut redis.clone(), &name).await?;
    publish("cake").await?;
    sleep_until(start + Duration::from_millis(250)).await;
    admit(&mut redis.clone(), &name).await?;
    read(&mut events).await;
    publish("pie").await?;
    read(&mut events).await;

    println!("The reader is slow:");
    for text in ["one", "two", "three", "four"] {
        publish(text).await?;
    }
    sleep(Duration::from_millis(200)).await;
    for _ in 0..3 {
        read(&mut events).await;
    }
    publish("five").await?;
    read(&mut events).await;
    expel(&mut redis, &name).await
}
