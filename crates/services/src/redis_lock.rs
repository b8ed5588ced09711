//! A lock across machines in Redis: it expires if its holder dies, and is renewed.
//!
//! A holder has the lock for a limited time, its lease. If the holder is killed, the
//! lease expires. `Lease::hold` renews the lease while your work runs, and drops the
//! work if the lease is lost. Each lease has a number, the fencing token, which is
//! higher than all before. redis-py's `Lock` expires too, but has no fencing token.
//!
//! Bounds: A call of Redis fails after a third of the `ttl`, the length of a lease.
//! Waiters ask again and again, and are not served in order.
//!
//! Trap: If a process is paused (by the system or a debugger) for longer than its
//! lease, it continues and writes although another holder works. The lock cannot
//! prevent this. Send the fencing token with each write, and let the store reject a
//! token lower than one that it has seen.
//!
//! Trap: If you protect money with this lock, it may be paid twice: after a crash, a
//! failover or an eviction, Redis may grant a lease twice. Use this lock to save work.
//! For an effect that must never happen twice, use a transaction.
//!
//! In production: Take the connection from the example `redis_reconnect`. The
//! `ConnectionManager` of the crate redis keeps a connection whose server no longer
//! answers, and then each call times out.
//!
//! See also: `lease`, `lock_per_key`, `redis_reconnect`.
//!
//! asyncio: asyncio.Lock, asyncio.timeout_at, async with

use std::io;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{RedisError, RedisResult, Script};
use tokio::select;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

/// Returns a new token, or 0 if the lock is held. Tokens are microseconds of the server's
/// clock. If Redis has lost the last token, the next is higher if that clock was not set
/// back.
const ACQUIRE: &str = r"
    if redis.call('HEXISTS', KEYS[1], 'held') == 1 then return 0 end
    local time = redis.call('TIME')
    local last = tonumber(redis.call('HGET', KEYS[1], 'last') or 0)
    local token = math.max(last + 1, time[1] * 1000000 + time[2])
    local text = string.format('%.0f', token)
    redis.call('HSET', KEYS[1], 'held', text, 'last', text)
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    return token";

/// Returns 1, or 0 if the lease with this token has ended.
const RENEW: &str = r"
    if redis.call('HGET', KEYS[1], 'held') ~= ARGV[2] then return 0 end
    return redis.call('PEXPIRE', KEYS[1], ARGV[1])";

/// As `RENEW`. The last token stays until the lease would have expired.
const RELEASE: &str = r"
    if redis.call('HGET', KEYS[1], 'held') ~= ARGV[2] then return 0 end
    return redis.call('HDEL', KEYS[1], 'held')";

/// The lease was not renewed in time. The work was dropped at its current await.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease was lost")]
pub struct Lost;

/// A lock with one holder at a time, for all processes that use the same server and name.
#[derive(Clone, Debug)]
pub struct RedisLock<C> {
    redis: C,
    name: String,
    ttl: Duration,
}

impl<C: ConnectionLike + Clone> RedisLock<C> {
    /// Returns a lock whose leases expire `ttl` after they began or were renewed; 10 to
    /// 30 seconds are usual.
    ///
    /// # Panics
    ///
    /// If `ttl` is less than 3 ms, or more than a year.
    pub fn new(redis: C, name: &str, ttl: Duration) -> Self {
        let year = Duration::from_secs(365 * 24 * 3600);
        assert!(ttl.as_millis() >= 3 && ttl <= year, "3 ms <= ttl <= a year");
        let name = name.to_owned();
        Self { redis, name, ttl }
    }

    /// Returns a lease, unless another one is held.
    ///
    /// If the call fails or its future is dropped, a lease may have begun. It then
    /// expires after the `ttl`.
    pub async fn try_acquire(&self) -> RedisResult<Option<Lease<C>>> {
        // By the server's clock the lease begins later, and so expires later.
        let expires = Instant::now() + self.ttl;
        let token = self.call(ACQUIRE, 0).await?;
        let lock = self.clone();
        Ok((token > 0).then_some(Lease {
            lock,
            token,
            expires,
        }))
    }

    /// Waits until the lock is free, and returns a lease. Looks every `poll`. Give it a
    /// `timeout`: it waits forever.
    ///
    /// # Errors
    ///
    /// If Redis fails or is late. Otherwise as [`try_acquire`](Self::try_acquire).
    pub async fn acquire(&self, poll: Duration) -> RedisResult<Lease<C>> {
        loop {
            if let Some(lease) = self.try_acquire().await? {
                return Ok(lease);
            }
            sleep(poll).await;
        }
    }

    async fn call(&self, script: &str, token: u64) -> RedisResult<u64> {
        let mut redis = self.redis.clone();
        let script = Script::new(script);
        let mut call = script.key(&self.name);
        call.arg(self.ttl.as_millis() as u64).arg(token);
        // A connection may have no limit, or not count the wait for a new one.
        let calling = timeout(self.ttl / 3, call.invoke_async(&mut redis)).await;
        calling.unwrap_or_else(|late| Err(RedisError::from(io::Error::from(late))))
    }
}

/// The right to work for a limited time. If it is dropped, the lock stays held until the
/// lease expires: `release` it.
#[derive(Debug)]
#[must_use = "a lease that is dropped keeps the lock until it expires"]
pub struct Lease<C> {
    lock: RedisLock<C>,
    token: u64,
    expires: Instant,
}

impl<C: ConnectionLike + Clone> Lease<C> {
    /// Returns the fencing token. It is higher than the token of any earlier lease,
    /// unless Redis has lost that one and the server's clock was set back.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Lets the lease expire a `ttl` from now. Returns whether it is still held.
    ///
    /// # Errors
    ///
    /// If Redis fails or is late. The lease may or may not be renewed then.
    pub async fn renew(&mut self) -> RedisResult<bool> {
        let expires = Instant::now() + self.lock.ttl;
        let renewed = self.lock.call(RENEW, self.token).await? == 1;
        if renewed {
            self.expires = expires;
        }
        Ok(renewed)
    }

    /// Releases the lock. Returns whether the lease was held until now.
    ///
    /// # Errors
    ///
    /// If Redis fails or is late. The lease expires by itself then.
    pub async fn release(self) -> RedisResult<bool> {
        Ok(self.lock.call(RELEASE, self.token).await? == 1)
    }

    /// Runs the work with the token, and renews the lease as long as it runs. Then
    /// releases the lock, and returns what the work returned.
    ///
    /// Cancel safety: if the future is dropped, so is the work, and the lease expires.
    ///
    /// # Errors
    ///
    /// [`Lost`] if Redis had no answer until the lease expired. The work is dropped. Work
    /// that blocks its thread notices nothing: check the token where it writes.
    pub async fn hold<T>(mut self, work: impl AsyncFnOnce(u64) -> T) -> Result<T, Lost> {
        let token = self.token;
        let done = select! {
            biased;
            () = self.keep() => return Err(Lost),
            done = work(token) => done,
        };
        // If this fails, the lease expires by itself.
        let _ = self.release().await;
        Ok(done)
    }

    /// Renews the lease until it is lost or expires.
    async fn keep(&mut self) {
        let third = self.lock.ttl / 3;
        loop {
            let expires = self.expires;
            let renewing = async {
                sleep_until(expires - 2 * third).await;
                loop {
                    match self.renew().await {
                        Ok(held) => break held,
                        // Redis may be back before the lease expires.
                        Err(_) => sleep(third / 10).await,
                    }
                }
            };
            if !timeout_at(expires, renewing).await.unwrap_or(false) {
                return;
            }
        }
    }
}

/// Works for some milliseconds under a lease, and renews it: `cargo run -- 5000 20000`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("REDIS_URL")
        .map_err(|_| "set REDIS_URL, for example to redis://127.0.0.1:6379")?;
    let millis = std::env::args().skip(1).map(|millis| millis.parse());
    let millis: Vec<u64> = millis.collect::<Result<_, _>>()?;
    let [ttl, work] = millis.as_slice() else {
        return Err("usage: TTL WORK, both in milliseconds".into());
    };
    let redis = redis::Client::open(url)?.get_connection_manager().await?;
    let lock = RedisLock::new(redis, "report", Duration::from_millis(*ttl));
    let waiting = lock.acquire(Duration::from_millis(100));
    let lease = timeout(Duration::from_secs(60), waiting).await??;
    let work = async |token| {
        println!("working with token {token}");
        sleep(Duration::from_millis(*work)).await;
    };
    lease.hold(work).await?;
    println!("the work is done");
    Ok(())
}

//@ clock: real
//@ try: 2000 100 -> the work is done
