//! Two processes: one is paused for too long, and one works longer than a lease lasts.

use std::env;
use std::error::Error;
use std::process;
use std::time::Duration;

use tokio::join;
use tokio::time::sleep;

use crate::redis_lock::RedisLock;
use crate::redis_reconnect::Redis;

/// A store that rejects tokens lower than the highest that it has seen.
#[derive(Default)]
struct Store {
    highest: u64,
}

impl Store {
    fn write(&mut self, token: u64) -> &'static str {
        if token < self.highest {
            return "rejected, the token is old";
        }
        self.highest = token;
        "written"
    }
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let url = env::var("REDIS_URL").map_err(|_| "set REDIS_URL")?;
    // A separate lock: another run may use the same server.
    let name = format!("lock:{}", process::id());
    let ttl = Duration::from_millis(600);
    let first = RedisLock::new(Redis::connect(&url, ttl).await?, &name, ttl);
    let second = RedisLock::new(Redis::connect(&url, ttl).await?, &name, ttl);
    let mut store = Store::default();

    println!("Process 1 is paused for longer than its lease lasts:");
    let mut old = first.try_acquire().await?.ok_or("nobody has it")?;
    let other = second.try_acquire().await?;
    println!("process 2: {}", held(other.is_some()));
    sleep(Duration::from_millis(800)).await;
    let new = second.try_acquire().await?.ok_or("it has expired")?;
    println!("process 2: {}", store.write(new.token()));
    println!("process 1: {}", store.write(old.token()));
    println!("process 1, renewed: {}", yes(old.renew().await?));
    println!("process 1, released: {}", yes(old.release().await?));
    println!("process 2, released: {}", yes(new.release().await?));

    println!("Process 1 works for twice as long as a lease lasts:");
    let lease = first.try_acquire().await?.ok_or("it is free")?;
    let work = async |token| {
        sleep(2 * ttl).await;
        store.write(token)
    };
    let look = async {
        sleep(Duration::from_millis(1000)).await;
        second.try_acquire().await
    };
    let (written, other) = join!(lease.hold(work), look);
    println!("process 2, after 1 s: {}", held(other?.is_some()));
    println!("process 1: {}", written?);
    let lease = second.try_acquire().await?;
    println!("process 2, afterwards: {}", held(lease.is_some()));
    if let Some(lease) = lease {
        lease.release().await?;
    }
    Ok(())
}

fn held(acquired: bool) -> &'static str {
    if acquired {
        "acquired"
    } else {
        "the lock is held"
    }
}

fn yes(it: bool) -> &'static str {
    if it { "yes" } else { "no" }
}
