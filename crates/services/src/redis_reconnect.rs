//! Connect to Redis, and replace a connection that is closed or silent.
//!
//! One connection serves all tasks: give each task a clone of `Redis`, the struct of
//! this file. The crate redis has a `ConnectionManager`, which connects again when its
//! connection is closed. But it keeps a connection that is open and silent, as after a
//! failover: each call times out until TCP gives up, after many minutes. So a task here
//! sends pings, and replaces a connection that does not answer. redis-py closes a
//! connection after a timeout instead.
//!
//! Bounds: A call fails after `limit`, which includes the wait for a new connection.
//! After the server was silent, new calls work within about twice `limit`. The
//! `ConnectionManager` has two timeouts, and both are set to `limit` here. The
//! connection timeout is for making a connection, with its handshake. The response
//! timeout is for the answers after that.
//!
//! Trap: If a call fails here, the server may have executed it, and nothing repeats the
//! call for you. Repeat only what is idempotent.
//!
//! Trap: If you send a blocking command such as `BLPOP`, all other calls of this
//! connection wait behind it, and so do its pings. Give it a separate connection whose
//! `limit` is longer than the command blocks.
//!
//! See also: `reconnecting_client`, `redis_pub_sub`, `redis_lock`, `redis_cache`.
//!
//! asyncio: asyncio.timeout, asyncio.create_task

use std::io;
use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client, Cmd, Pipeline, RedisError, RedisFuture};
use redis::{RedisResult, Value};
use tokio::sync::watch::{self, Receiver};
use tokio::time::timeout;

/// A connection that is replaced when it has to be. Clones share it.
#[derive(Clone, Debug)]
pub struct Redis {
    /// The connection of now.
    now: Receiver<ConnectionManager>,
    limit: Duration,
}

impl Redis {
    /// Connects to the server at a `redis://` URL. A call takes at most `limit`.
    ///
    /// # Errors
    ///
    /// If there is no connection within about twice the `limit`.
    pub async fn connect(url: &str, limit: Duration) -> RedisResult<Self> {
        let client = Client::open(url)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(limit))
            .set_response_timeout(Some(limit))
            // Calls wait for all retries. By default there are six.
            .set_number_of_retries(1);
        let connect =
            move || ConnectionManager::new_with_config(client.clone(), config.clone());
        let (sender, now) = watch::channel(connect().await?);
        tokio::spawn(async move {
            // Until all clones are dropped.
            while timeout(limit / 4, sender.closed()).await.is_err() {
                let mut redis = sender.borrow().clone();
                let pinged = redis.ping::<Value>().await;
                if pinged.is_err_and(|error| error.is_timeout()) {
                    let _ = connect().await.map(|next| sender.send_replace(next));
                }
            }
        });
        Ok(Self { now, limit })
    }

    /// The limits of the manager do not count the wait for a new connection.
    async fn in_time<T>(&self, call: RedisFuture<'_, T>) -> RedisResult<T> {
        let late = |late| Err(RedisError::from(io::Error::from(late)));
        timeout(self.limit, call).await.unwrap_or_else(late)
    }
}

/// So the commands of the crate, its pipelines and its scripts take a `Redis`.
impl ConnectionLike for Redis {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let mut now = self.now.borrow().clone();
        Box::pin(async move { self.in_time(now.req_packed_command(command)).await })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let mut now = self.now.borrow().clone();
        Box::pin(async move {
            let call = now.req_packed_commands(pipeline, offset, count);
            self.in_time(call).await
        })
    }

    fn get_db(&self) -> i64 {
        self.now.borrow().get_db()
    }
}

/// Counts the seconds in a key, as often as told: `cargo run -- 60`. Restart the server
/// meanwhile.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL")
        .map_err(|_| "set REDIS_URL, for example to redis://127.0.0.1:6379")?;
    let seconds: u32 = std::env::args().nth(1).ok_or("usage: SECONDS")?.parse()?;
    let mut redis = Redis::connect(&url, Duration::from_millis(500)).await?;
    for _ in 0..seconds {
        match redis.incr::<_, _, u32>("seconds", 1).await {
            Ok(count) => println!("{count} seconds"),
            Err(error) => println!("not counted: {error}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

//@ clock: real
//@ try: 2 -> seconds
