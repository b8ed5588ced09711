//! One rate limit for all processes together, by a script in Redis: 429, `Retry-After`.
//!
//! The limiter sends a Lua script to Redis, which reads a key and changes it. Redis
//! runs no other command during the script, so no two processes take the same token.
//! The script uses the clock of the server. Each key is a bucket, as in `token_bucket`.
//! redis-py calls this `register_script`.
//!
//! Bounds: A call fails after `limit`. A key expires when its bucket is full.
//!
//! Trap: If you use the commands `INCR` and then `EXPIRE`, a process that is killed
//! between them leaves a counter that never expires, and its user is refused forever.
//! Do both in one script.
//!
//! Trap: If you use redis-py, a call may take two tokens, because redis-py repeats a
//! command whose reply was lost. Turn this off with `Retry(NoBackoff(), 0)`. The crate
//! redis repeats no command.
//!
//! In production: Take the connection from the example `redis_reconnect`. The
//! `ConnectionManager` of the crate redis keeps a connection whose server no longer
//! answers, and then each call times out.
//!
//! See also: `token_bucket`, `redis_lock`, `redis_reconnect`.
//!
//! asyncio: asyncio.timeout

use std::io;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{RedisError, Script};
use tokio::time::timeout;

/// Takes a token and returns 0, or returns after how many microseconds there is one. The
/// key holds the moment when the bucket will be full.
const TAKE: &str = r"
    local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local full_at = tonumber(redis.call('GET', KEYS[1]) or now)
    -- It is farther ahead only if the server's clock was set back.
    full_at = math.min(math.max(full_at, now), now + interval * burst)
    local missing = full_at - now - interval * (burst - 1)
    if missing > 0 then return missing end
    full_at = full_at + interval
    local expires = math.ceil((full_at - now) / 1000)
    redis.call('SET', KEYS[1], string.format('%.0f', full_at), 'PX', expires)
    return 0";

/// Why a call is not let through.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no token; after this time there is one.
    #[error("too many calls, retry after {} s", seconds(*.0))]
    RetryAfter(Duration),
    /// Redis failed or was late. It may have taken a token.
    #[error("the rate limit is not known")]
    Unknown(#[from] RedisError),
}

/// Returns the value for `Retry-After`: whole seconds, rounded up.
pub fn seconds(wait: Duration) -> u128 {
    wait.as_millis().div_ceil(1000)
}

/// A bucket of tokens for each key. All processes that use the same server and prefix
/// share the buckets.
#[derive(Clone, Debug)]
pub struct RateLimiter<C> {
    redis: C,
    prefix: String,
    burst: u32,
    interval: Duration,
    limit: Duration,
    take: Script,
}

impl<C: ConnectionLike + Clone> RateLimiter<C> {
    /// Returns a limiter whose buckets hold `burst` tokens, and get one each `interval`.
    /// Each call takes at most `limit`.
    ///
    /// # Panics
    ///
    /// If `burst` is 0, `interval` is less than a microsecond, or a bucket needs more
    /// than a year to fill.
    pub fn new(
        redis: C,
        prefix: &str,
        burst: u32,
        interval: Duration,
        limit: Duration,
    ) -> Self {
        let year = Duration::from_secs(365 * 24 * 3600);
        let fill = interval.checked_mul(burst);
        assert!(burst > 0 && interval.as_micros() > 0, "nobody could call");
        assert!(fill.is_some_and(|it| it <= year), "it would never be full");
        Self {
            redis,
            prefix: prefix.to_owned(),
            burst,
            interval,
            limit,
            take: Script::new(TAKE),
        }
    }

    /// Takes a token of this key, or returns when there will be one.
    ///
    /// Cancel safety: if the future is dropped, the token may be taken.
    pub async fn try_acquire(&self, key: &str) -> Result<(), Refused> {
        let mut redis = self.redis.clone();
        let mut take = self.take.key(format!("{}{key}", self.prefix));
        take.arg(self.interval.as_micros() as u64).arg(self.burst);
        // A connection may have no limit, or not count the wait for a new one.
        let taking = timeout(self.limit, take.invoke_async(&mut redis)).await;
        let missing: u64 = taking
            .map_err(|late| RedisError::from(io::Error::from(late)))
            .flatten()?;
        if missing > 0 {
            return Err(Refused::RetryAfter(Duration::from_micros(missing)));
        }
        Ok(())
    }
}

/// Says what an HTTP server would answer to a user: `cargo run -- ann`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL")
        .map_err(|_| "set REDIS_URL, for example to redis://127.0.0.1:6379")?;
    let user = std::env::args().nth(1).ok_or("usage: USER")?;
    let (interval, limit) = (Duration::from_millis(200), Duration::from_secs(1));
    let redis = redis::Client::open(url)?.get_connection_manager().await?;
    let limiter = RateLimiter::new(redis, "calls:", 5, interval, limit);
    match limiter.try_acquire(&user).await {
        Ok(()) => println!("200 OK"),
        Err(Refused::RetryAfter(wait)) => {
            println!("429 Too Many Requests, Retry-After: {}", seconds(wait));
        }
        // Without Redis all are let through. A login would refuse all: 503.
        Err(Refused::Unknown(error)) => {
            eprintln!("no rate limit: {error}");
            println!("200 OK");
        }
    }
    Ok(())
}

//@ clock: real
//@ try: ann -> 200 OK
