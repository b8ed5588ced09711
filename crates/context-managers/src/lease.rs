//! A lease: a lock with a time limit, which is released if its holder does not renew it.
//!
//! A task that hangs keeps an ordinary lock forever. A lease ends after a fixed time,
//! unless its holder renews it between two steps of its work. `LeaseLock::acquire` below
//! waits for a lease.
//!
//! Trap: If a holder is delayed at an await, its lease may expire without the holder
//! noticing. The holder then overwrites the data of the next one. Each lease has a
//! number, its token, which is higher than the token of the lease before. Send the token
//! with each write. The store must reject a token that is lower than one that it has
//! seen.
//!
//! In production: `LeaseLock` works within one process. If programs on several machines
//! share the lock, a common store, such as Redis or PostgreSQL, must grant the lease and
//! reject old tokens.
//!
//! See also: `pg_leader`, `redis_lock`, `semaphore`, `job_queue`.
//!
//! asyncio: asyncio.Lock, asyncio.timeout_at, async with, __aenter__, __aexit__

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::select;
use tokio::sync::{self, Notify};
use tokio::time::{Instant, sleep_until};

/// A lock with one holder at a time, for a limited time. Clones are the same lock.
#[derive(Clone, Debug)]
pub struct LeaseLock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ttl: Duration,
    state: Mutex<State>,
    /// Held by the waiter that gets the next lease.
    queue: sync::Mutex<()>,
    released: Notify,
}

#[derive(Debug)]
struct State {
    /// The token of the newest lease.
    token: u64,
    /// When that lease expires; `None` if it was released.
    expires: Option<Instant>,
}

/// The lease has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease has expired")]
pub struct Expired;

impl LeaseLock {
    /// Returns a lock whose leases expire `ttl` after they began or were renewed.
    ///
    /// Timers are a millisecond late, and more on a busy thread. Choose a much longer
    /// `ttl`, or the lease expires before it can be renewed.
    ///
    /// # Panics
    ///
    /// If `ttl` is 0, or more than 30 years.
    pub fn new(ttl: Duration) -> Self {
        let years = Duration::from_secs(30 * 365 * 24 * 3600);
        assert!(!ttl.is_zero() && ttl <= years, "0 < ttl <= 30 years");
        let state = State {
            token: 0,
            expires: None,
        };
        Self(Arc::new(Shared {
            ttl,
            state: Mutex::new(state),
            queue: sync::Mutex::new(()),
            released: Notify::new(),
        }))
    }

    /// Waits until the current lease is released or has expired, and begins a new one.
    /// Waiters are served first come, first served.
    ///
    /// Cancel-safe: a waiter that is dropped leaves the queue. A task that holds a lease
    /// and acquires another one waits until the first has expired.
    pub async fn acquire(&self) -> Lease {
        let shared = &self.0;
        let _next = shared.queue.lock().await;
        loop {
            let expires = {
                let mut state = shared.lock();
                let now = Instant::now();
                match state.expires {
                    Some(expires) if now < expires => expires,
                    _ => {
                        state.token += 1;
                        state.expires = Some(now + shared.ttl);
                        return Lease {
                            lock: self.clone(),
                            token: state.token,
                        };
                    }
                }
            };
            // The holder may have renewed it since, so check once more.
            select! {
                () = sleep_until(expires) => {}
                () = shared.released.notified() => {}
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to use something for a limited time. Dropping the lease releases the lock,
/// unless the next lease has begun.
#[derive(Debug)]
#[must_use = "a lease without a name is released immediately"]
pub struct Lease {
    lock: LeaseLock,
    token: u64,
}

impl Lease {
    /// Returns the fencing token, which is higher than the token of any earlier lease.
    /// The store must reject a token that is lower than one it has seen.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Lets the lease expire `ttl` from now.
    ///
    /// # Errors
    ///
    /// [`Expired`] if it has expired, even if no other lease has begun.
    pub fn renew(&self) -> Result<(), Expired> {
        let mut state = self.lock.0.lock();
        let now = Instant::now();
        match state.expires {
            Some(expires) if state.token == self.token && now < expires => {
                state.expires = Some(now + self.lock.0.ttl);
                Ok(())
            }
            _ => Err(Expired),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.lock.0.lock();
        if state.token == self.token {
            state.expires = None;
            self.lock.0.released.notify_one();
        }
    }
}

/// Works some milliseconds under a lease, without renewing it: `cargo run -- 500 200`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let millis = std::env::args().skip(1).map(|millis| millis.parse());
    let millis: Vec<u64> = millis.collect::<Result<_, _>>()?;
    let [ttl, work] = millis.as_slice() else {
        return Err("usage: TTL WORK, both in milliseconds".into());
    };
    let lock = LeaseLock::new(Duration::from_millis(*ttl));
    let lease = lock.acquire().await;
    tokio::time::sleep(Duration::from_millis(*work)).await;
    lease.renew()?;
    println!("lease {} is still held", lease.token());
    Ok(())
}

//@ try: 5000 50 -> lease 1 is still held
//@ try: 50 200 -> Expired
