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

use std::error::Error;
use std::fmt;
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
    time: Duration,
    state: Mutex<State>,
    /// Held by whoever is the next to get a lease.
    line: sync::Mutex<()>,
    given_back: Notify,
}

struct State {
    /// The token of the newest lease.
    token: u64,
    /// When that lease ends; `None` if it was given back.
    until: Option<Instant>,
}

/// The time of the lease is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired;

impl fmt::Display for Expired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lease has run out")
    }
}

impl Error for Expired {}

impl LeaseLock {
    /// A lock whose leases last for `time` after they were begun or renewed.
    ///
    /// # Panics
    ///
    /// If `time` is less than 50 milliseconds, as timers are a millisecond late, and more
    /// on a busy thread; or if it is more than 30 years.
    pub fn new(time: Duration) -> Self {
        let years = Duration::from_secs(30 * 365 * 24 * 3600);
        assert!(
            (Duration::from_millis(50)..=years).contains(&time),
            "a lease lasts between 50 milliseconds and 30 years"
        );
        let state = State {
            token: 0,
            until: None,
        };
        Self(Arc::new(Shared {
            time,
            state: Mutex::new(state),
            line: sync::Mutex::new(()),
            given_back: Notify::new(),
        }))
    }

    /// Waits until the lease of the holder before is given back or has run out, and
    /// begins a new one. Who waits is served in the order of asking.
    ///
    /// Cancel-safe: dropped while it waits, it leaves its place in the line to the next.
    /// Who has a lease of this lock and asks for another waits until the first runs out.
    pub async fn acquire(&self) -> Lease {
        let shared = &self.0;
        let _turn = shared.line.lock().await;
        loop {
            let until = {
                let mut state = shared.lock();
                let now = Instant::now();
                match state.until {
                    Some(until) if now < until => until,
                    _ => {
                        state.token += 1;
                        state.until = Some(now + shared.time);
                        return Lease {
                            lock: self.clone(),
                            token: state.token,
                        };
                    }
                }
            };
            // It may have been renewed by then, and is looked at once more.
            select! {
                () = sleep_until(until) => {}
                () = shared.given_back.notified() => {}
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // It is set in steps that cannot panic, so a panic elsewhere spoils nothing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to use something until its time is over. Dropped, it is given back, unless
/// it has run out: the lease of another is left alone.
#[must_use = "without a name it is given back at once"]
pub struct Lease {
    lock: LeaseLock,
    token: u64,
}

impl Lease {
    /// Higher than that of each lease before. What the lease guards has to refuse any
    /// that is lower than one it has seen.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// Starts the time anew, from now on.
    ///
    /// # Errors
    ///
    /// [`Expired`] once its time is over, even if nobody else has taken it since. It
    /// cannot be had back.
    pub fn renew(&self) -> Result<(), Expired> {
        let mut state = self.lock.0.lock();
        let now = Instant::now();
        match state.until {
            Some(until) if state.token == self.token && now < until => {
                state.until = Some(now + self.lock.0.time);
                Ok(())
            }
            _ => Err(Expired),
        }
    }

    /// Does the work, and renews the lease at the beginning and whenever a third of its
    /// time has gone by.
    ///
    /// # Errors
    ///
    /// [`Expired`] if it could not be renewed in time, because something blocked the task
    /// or the thread. The work is dropped then, at the await where it is; if it has
    /// ended, the output is lost then.
    pub async fn hold<T>(&self, work: impl Future<Output = T>) -> Result<T, Expired> {
        let mut work = pin!(work);
        loop {
            self.renew()?;
            select! {
                biased;
                () = sleep(self.lock.0.time / 3) => {}
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
            state.until = None;
            self.lock.0.given_back.notify_one();
        }
    }
}

/// A page that remembers who wrote it last, and the highest token that it has seen.
#[derive(Default)]
pub struct Page(Mutex<(u64, &'static str)>);

/// Somebody with a later lease has written.
#[derive(Debug)]
pub struct Stale {
    token: u64,
    newest: u64,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused, as {} is less than {}", self.token, self.newest)
    }
}

impl Error for Stale {}

impl Page {
    /// Writes, with a lease's token.
    ///
    /// # Errors
    ///
    /// [`Stale`] if the token is lower than that of somebody who wrote before.
    pub fn write(&self, token: u64, author: &'static str) -> Result<(), Stale> {
        let mut page = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if token < page.0 {
            let newest = page.0;
            return Err(Stale { token, newest });
        }
        *page = (token, author);
        Ok(())
    }

    /// Writes, whoever has written before: what a store does that knows of no tokens.
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
        Err(stale) => println!("{name} is {stale}"),
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
        Ok(Err(stale)) => println!("{name} is {stale}"),
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

    println!("Ann renews, and is aborted after 0.2 s:");
    let ann = tokio::spawn(edit_slowly("Ann", lock.clone(), Arc::clone(&pages)));
    sleep(moment).await;
    let ben = start("Ben", [100, 0]);
    sleep(moment).await;
    ann.abort();
    ben.await?;

    println!("A lease that is never given back:");
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
