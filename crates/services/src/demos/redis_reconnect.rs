//! A connection that goes silent during a call.

use std::env;
use std::error::Error;
use std::process;
use std::time::Duration;

use redis::AsyncCommands;
use tokio::time::{Instant, sleep_until};

use crate::redis_reconnect::Redis;

type Failure = Box<dyn Error + Send + Sync>;

pub async fn run() -> Result<(), Failure> {
    let url = env::var("REDIS_URL").map_err(|_| "set REDIS_URL")?;
    // A separate key: another run may use the same server.
    let key = format!("count:{}", process::id());
    let mut redis = Redis::connect(&url, Duration::from_millis(500)).await?;
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    println!("counted: {}", redis.incr::<_, _, u32>(&key, 1).await?);

    println!("The connection stays open, and no reply comes:");
    let mut silence = redis::pipe();
    silence.cmd("CLIENT").arg("REPLY").arg("OFF").incr(&key, 1);
    match silence.exec_async(&mut redis).await {
        Err(error) if error.is_timeout() => println!("no reply in time"),
        other => println!("{other:?}"),
    }
    at(1000).await;
    println!("The next call has a new connection, and the server has counted:");
    println!("counted: {}", redis.get::<_, u32>(&key).await?);
    redis.del::<_, ()>(&key).await?;
    Ok(())
}
