//! A cache in Redis: one load of a key for all processes together, TTL with jitter.
//!
//! The first caller that misses a key stores a mark under this key in Redis, and loads
//! the value. Other callers, also in other processes, ask again and again until the
//! value is there. A load runs in a task, so it survives its caller. If Redis fails,
//! each caller loads by itself: limit those loads with a `Semaphore`.
//!
//! Bounds: A load, and the wait for another caller's load, fail after `load_limit`. A
//! call of Redis fails after `limit`.
//!
//! Trap: If the data changes while it is being loaded, the load would store the old
//! value afterwards. Call `remove` after each change: it also removes the mark, and a
//! load without its mark stores nothing.
//!
//! Trap: If many values are cached at the same moment, they also expire at the same
//! moment, and all are loaded together. Here a random time, the jitter, is added to
//! each TTL.
//!
//! In production: Take the connection from the example `redis_reconnect`. The
//! `ConnectionManager` of the crate redis keeps a connection whose server no longer
//! answers, and then each call times out.
//!
//! See also: `ttl_cache`, `single_flight`, `redis_reconnect`.
//!
//! asyncio: asyncio.create_task, asyncio.shield, asyncio.timeout

use std::future::Future;
use std::io;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{AsyncCommands, RedisError, RedisResult, Script};
use tokio::time::{Instant, sleep, timeout};

/// Returns the value, or that another load runs, or the mark of the load that begins.
const LOOK_UP: &str = r"
    local entry = redis.call('HMGET', KEYS[1], 'value', 'mark')
    if entry[1] then return {'value', entry[1]} end
    if entry[2] then return {'running', ''} end
    local time = redis.call('TIME')
    local mark = time[1] .. '.' .. time[2]
    redis.call('HSET', KEYS[1], 'mark', mark)
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    return {'begins', mark}";

/// Removes the mark, and stores the value if there is one. Does nothing if the mark has
/// expired or was removed.
const FINISH: &str = r"
    if redis.call('HGET', KEYS[1], 'mark') ~= ARGV[1] then return end
    redis.call('DEL', KEYS[1])
    if not ARGV[2] then return end
    redis.call('HSET', KEYS[1], 'value', ARGV[2])
    redis.call('PEXPIRE', KEYS[1], ARGV[3])";

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError<E> {
    /// The error of the load.
    #[error(transparent)]
    Failed(E),
    /// The load, or that of another caller, took longer than `load_limit`.
    #[error("the value was not loaded in time")]
    TimedOut,
    /// The load panicked, or its runtime was shut down.
    #[error("the load ended without a result")]
    NoResult,
}

/// Keeps texts in Redis, and loads missing ones. Clones are the same cache.
#[derive(Clone, Debug)]
pub struct RedisCache<C> {
    /// The connection. Each call clones it.
    pub redis: C,
    /// The first part of each key.
    pub prefix: String,
    /// How long a value is kept, at least.
    pub ttl: Duration,
    /// Up to this is added to the `ttl`, at random.
    pub jitter: Duration,
    /// How long a load may take, and how long others wait for it.
    pub load_limit: Duration,
    /// How often others look whether it is there.
    pub poll: Duration,
    /// How long a call of Redis may take.
    pub limit: Duration,
}

enum Entry {
    Value(String),
    /// Another caller loads it.
    Running,
    /// This caller has to load it. There is no mark if Redis fails.
    Begins(Option<String>),
}

impl<C> RedisCache<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// Returns the value that is kept, or waits for the load of another caller, also in
    /// another process, or runs `load` in a task and keeps its result.
    ///
    /// Cancel safety: dropping the future does not stop the load. If it is dropped during
    /// a call of Redis, other callers may wait for `load_limit`.
    ///
    /// # Errors
    ///
    /// An error of the load goes to its caller and is not kept. The next caller loads.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub async fn get_or_load<E: Send + 'static>(
        &self,
        key: &str,
        load: impl Future<Output = Result<String, E>> + Send + 'static,
    ) -> Result<String, LoadError<E>> {
        let key = format!("{}{key}", self.prefix);
        let start = Instant::now();
        let mark = loop {
            match self.look_up(&key).await {
                Entry::Value(value) => return Ok(value),
                Entry::Begins(mark) => break mark,
                Entry::Running if start.elapsed() < self.load_limit => {
                    sleep(self.poll).await;
                }
                Entry::Running => return Err(LoadError::TimedOut),
            }
        };
        let cache = self.clone();
        let load = tokio::spawn(async move {
            // In its own task: after a panic the mark goes, and others may load.
            let loaded = tokio::spawn(timeout(cache.load_limit, load)).await;
            if let Some(mark) = mark {
                let value = loaded.as_ref().ok().and_then(|it| it.as_ref().ok());
                let value = value.and_then(|it| it.as_ref().ok());
                cache.finish(&key, &mark, value).await;
            }
            loaded
        });
        match load.await {
            Ok(Ok(Ok(loaded))) => loaded.map_err(LoadError::Failed),
            Ok(Ok(Err(_))) => Err(LoadError::TimedOut),
            _ => Err(LoadError::NoResult),
        }
    }

    /// Removes the value. A running load does not store its own. Call this after the data
    /// has changed, and again if it fails.
    pub async fn remove(&self, key: &str) -> RedisResult<()> {
        let mut redis = self.redis.clone();
        let key = format!("{}{key}", self.prefix);
        self.in_time(redis.del(key)).await
    }

    async fn look_up(&self, key: &str) -> Entry {
        let script = Script::new(LOOK_UP);
        let mut call = script.key(key);
        call.arg(millis(self.load_limit));
        let mut redis = self.redis.clone();
        let found = self.in_time(call.invoke_async(&mut redis)).await;
        let (kind, text): (String, String) = match found {
            Ok(found) => found,
            Err(error) => {
                eprintln!("no cache: {error}");
                return Entry::Begins(None);
            }
        };
        match kind.as_str() {
            "value" => Entry::Value(text),
            "running" => Entry::Running,
            _ => Entry::Begins(Some(text)),
        }
    }

    async fn finish(&self, key: &str, mark: &str, value: Option<&String>) {
        let script = Script::new(FINISH);
        let mut call = script.key(key);
        call.arg(mark);
        if let Some(value) = value {
            let jitter = fastrand::u64(0..=millis(self.jitter));
            call.arg(value).arg(millis(self.ttl).saturating_add(jitter));
        }
        let mut redis = self.redis.clone();
        if let Err(error) = self.in_time::<()>(call.invoke_async(&mut redis)).await {
            eprintln!("no cache: {error}");
        }
    }

    async fn in_time<T>(
        &self,
        call: impl Future<Output = RedisResult<T>>,
    ) -> RedisResult<T> {
        // A connection may have no limit, or not count the wait for a new one.
        let called = timeout(self.limit, call).await;
        called.unwrap_or_else(|late| Err(RedisError::from(io::Error::from(late))))
    }
}

/// Returns at least 1 and at most a year, as Redis has to add it to the time of day.
fn millis(time: Duration) -> u64 {
    time.as_millis().clamp(1, 365 * 24 * 3600 * 1000) as u64
}

/// Counts the lines of a file, at most once a minute: `cargo run -- Cargo.toml`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL")
        .map_err(|_| "set REDIS_URL, for example to redis://127.0.0.1:6379")?;
    let path = std::env::args().nth(1).ok_or("usage: FILE")?;
    let cache = RedisCache {
        redis: redis::Client::open(url)?.get_connection_manager().await?,
        prefix: "lines:".to_owned(),
        ttl: Duration::from_secs(60),
        jitter: Duration::from_secs(6),
        load_limit: Duration::from_secs(10),
        poll: Duration::from_millis(50),
        limit: Duration::from_secs(1),
    };
    let file = path.clone();
    let load = async move {
        println!("from the disk");
        let text = tokio::fs::read_to_string(file).await?;
        Ok::<_, io::Error>(text.lines().count().to_string())
    };
    let lines = cache.get_or_load(&path, load).await?;
    println!("{path}: {lines} lines");
    Ok(())
}

//@ clock: real
//@ try: Cargo.toml -> from the disk
