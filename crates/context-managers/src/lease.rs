//! A lease: a lock with a time limit, which is released if its holder does not renew it.
//!
//! A task that hangs keeps an ordinary lock for ever. A lease expires. `hold` renews it
//! while some work runs; put a `timeout` into work that may hang.
//!
//! Trap: a holder may be delayed at any await, not notice that its lease has expired, and
//! overwrite what the next holder wrote. So each lease has a fencing token, higher than
//! all before. The store must reject a token that is lower than one it has seen.
//!
//! In production: this lock works within one process. With `etcd-client`, programs on
//! several machines share a lease, and it outlives the process that took it.
//!
//! See also: `semaphore`, `timeouts`, `job_queue`.
//!
//! asyncio: asyncio.Lock, asyncio.timeout_at, async with, __aenter__, __aexit__

use std::mem;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::select;
use tokio::sync::{self, Notify};
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, sleep_until};

/// A lock that one holder at a time has, for a limited time. Clones are the same lock.
#[derive(Clone)]
pub struct LeaseLock(Arc<Shared>);

struct Shared {
    ttl: Duration,
    state: Mutex<State>,
    /// Held by the waiter that gets the next lease.
    queue: sync::Mutex<()>,
    released: Notify,
}

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
    /// Timers are a millisecond late, and more on a busy thread. A `ttl` that is not much
    /// longer expires before it can be renewed.
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
    /// Cancel-safe: dropped while it waits, it leaves the queue. A task that holds a
    /// lease and acquires another waits until the first has expired.
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
            // It may have been renewed by then, so check once more.
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

/// The right to use something until it expires. Dropping it releases it, unless another
/// lease has begun.
#[must_use = "a lease without a name is released at once"]
pub struct Lease {
    lock: LeaseLock,
    token: u64,
}

impl Lease {
    /// Returns the fencing token, which is higher than that of each earlier lease. The
    /// store must reject a token that is lower than one it has seen.
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

    /// Awaits the work, and renews the lease before, after, and at each third of `ttl`.
    ///
    /// # Errors
    ///
    /// [`Expired`] if it could not be renewed in time, because something blocked the task
    /// or the thread. The work is then dropped at its current await. If it has ended, its
    /// output is lost.
    pub async fn hold<T>(&self, work: impl Future<Output = T>) -> Result<T, Expired> {
        let mut work = pin!(work);
        loop {
            self.renew()?;
            select! {
                biased;
                () = sleep(self.lock.0.ttl / 3) => {}
                output = &mut work => {
                    self.renew()?;
                    return Ok(output);
                }
            }
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

/// A page that remembers who wrote it last, and the highest token that it has seen.
#[derive(Default)]
pub struct Page(Mutex<(u64, &'static str)>);

/// A holder of a later lease has written.
#[derive(Debug, thiserror::Error)]
#[error("rejected, as {token} is less than {newest}")]
pub struct Stale {
    token: u64,
    newest: u64,
}

impl Page {
    /// Writes, with a lease's token.
    ///
    /// # Errors
    ///
    /// [`Stale`] if the token is lower than one that it has seen.
    pub fn write(&self, token: u64, author: &'static str) -> Result<(), Stale> {
        let mut page = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if token < page.0 {
            let newest = page.0;
            return Err(Stale { token, newest });
        }
        *page = (token, author);
        Ok(())
    }

    /// Writes without a check, as a store without tokens does.
    fn overwrite(&self, author: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = author;
    }

    fn author(&self) -> &'static str {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

#[derive(Default)]
struct Pages {
    with_tokens: Page,
    without: Page,
}

/// Writes after some milliseconds, without a look at the time, and keeps the lease for
/// some more.
async fn edit(
    name: &'static str,
    lock: LeaseLock,
    pages: Arc<Pages>,
    [before, after]: [u64; 2],
) {
    let lease = lock.acquire().await;
    println!("{name} has lease {}", lease.token());
    sleep(Duration::from_millis(before)).await;
    pages.without.overwrite(name);
    match pages.with_tokens.write(lease.token(), name) {
        Ok(()) => println!("{name} writes"),
        Err(stale) => println!("{name}: {stale}"),
    }
    if let Err(expired) = lease.renew() {
        println!("{name} cannot renew: {expired}");
    }
    sleep(Duration::from_millis(after)).await;
}

/// Writes after 0.8 s, and renews the lease meanwhile.
async fn edit_slowly(name: &'static str, lock: LeaseLock, pages: Arc<Pages>) {
    let lease = lock.acquire().await;
    println!("{name} has lease {}", lease.token());
    let slow = async {
        sleep(Duration::from_millis(800)).await;
        pages.with_tokens.write(lease.token(), name)
    };
    match lease.hold(slow).await {
        Ok(Ok(())) => println!("{name} writes"),
        Ok(Err(stale)) => println!("{name}: {stale}"),
        Err(expired) => println!("{name} stops: {expired}"),
    }
}

pub async fn run() -> Result<(), JoinError> {
    let lock = LeaseLock::new(Duration::from_millis(500));
    let pages = Arc::new(Pages::default());
    let moment = Duration::from_millis(100);
    let start =
        |name, times| tokio::spawn(edit(name, lock.clone(), Arc::clone(&pages), times));

    println!("A lease lasts for 0.5 s, and Ann needs 0.2 s:");
    let ann = start("Ann", [200, 0]);
    sleep(moment).await;
    let ben = start("Ben", [200, 0]);
    ann.await?;
    ben.await?;

    println!("Ann is delayed for 0.8 s:");
    let ann = start("Ann", [800, 0]);
    sleep(moment).await;
    let ben = start("Ben", [200, 200]);
    sleep(5 * moment).await;
    let cid = start("Cid", [100, 0]);
    ann.await?;
    println!("with tokens: {}", pages.with_tokens.author());
    println!("without: {}", pages.without.author());
    ben.await?;
    cid.await?;

    println!("Ann needs 0.8 s, and renews:");
    let ann = tokio::spawn(edit_slowly("Ann", lock.clone(), Arc::clone(&pages)));
    sleep(moment).await;
    let ben = start("Ben", [100, 0]);
    ann.await?;
    ben.await?;

    println!("Ann renews, and is cancelled after 0.2 s:");
    let ann = tokio::spawn(edit_slowly("Ann", lock.clone(), Arc::clone(&pages)));
    sleep(moment).await;
    let ben = start("Ben", [100, 0]);
    sleep(moment).await;
    ann.abort();
    ben.await?;

    println!("A lease that is never released:");
    let lease = lock.acquire().await;
    println!("lost: lease {}", lease.token());
    mem::forget(lease);
    start("Ben", [100, 0]).await?;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
