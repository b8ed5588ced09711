//! Rate limit by a sliding window: never more than so many calls in any minute.
//!
//! It keeps the moments of the last calls. When there are as many as the limit, the next
//! call waits until the oldest is one window old. The lock is kept during that sleep, so
//! that callers get through in the order in which they came, and those behind are not
//! woken before. The trap is to ask again while holding the lock: in an `async fn` the
//! compiler refuses ("recursion in an async fn requires boxing"), but with the box that
//! it proposes the call waits for itself, and with it all others. A `token_bucket` lets
//! nearly twice the limit through in one window, and so does the crate `governor`; but
//! that keeps one number, not a moment for each call, and has a limit for each key. To
//! refuse a call instead of making it wait: `semaphore_rate_limiter`.
//!
//! asyncio: asyncio.Lock, asyncio.sleep, asyncio.gather, asyncio.timeout, loop.time

use std::collections::VecDeque;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// A strict rate limit: at most so many calls in any window of that length.
///
/// Who asks is served in the order of asking. It has no task of its own and belongs to
/// no runtime, so it may stand in an `Arc` or in a `static`. This is the algorithm that
/// is known as "sliding window log". With the moments under a lock of the standard
/// library, and this one only as the line of those who wait, a call that has room would
/// cost two thirds of what it does, and less than half on four threads at once, for a
/// guard and a counter more.
pub struct SlidingWindow {
    limit: usize,
    window: Duration,
    /// The moments of the last calls, oldest first. The lock is the line.
    calls: Mutex<VecDeque<Instant>>,
}

impl SlidingWindow {
    /// At most `limit` calls in each `window`.
    ///
    /// Tokio's timers wake up to a millisecond late, and the next window begins when this
    /// one's calls have begun in fact: windows of ten milliseconds may take eleven.
    ///
    /// # Panics
    ///
    /// If either is zero, or if the window is longer than an [`Instant`] can tell.
    pub fn new(limit: usize, window: Duration) -> Self {
        assert!(limit > 0, "a limit of zero lets nothing through");
        assert!(!window.is_zero(), "a window of zero is no limit");
        let end = Instant::now().checked_add(window);
        assert!(end.is_some(), "the window would never end");
        Self {
            limit,
            window,
            calls: Mutex::default(),
        }
    }

    /// Waits until one more call fits into the window, and counts it. Returns the moment
    /// that it counts; the limit is for these moments. The window is without its end: a
    /// call may come exactly one window after the oldest.
    ///
    /// Cancel-safe: dropped while it waits, it counts nothing, and the next in line takes
    /// its place. Await it or drop it: a call that has begun to wait, and is then kept
    /// without being awaited, holds up all who come after it.
    pub async fn acquire(&self) -> Instant {
        // It succeeds only if nobody waits, and costs half as much as `lock`.
        let mut calls = match self.calls.try_lock() {
            Ok(calls) => calls,
            Err(_) => self.calls.lock().await,
        };
        let mut now = Instant::now();
        if calls.len() == self.limit
            && let Some(&oldest) = calls.front()
        {
            let leaves = oldest + self.window;
            if now < leaves {
                sleep_until(leaves).await;
                now = Instant::now();
            }
            calls.pop_front();
        }
        calls.push_back(now);
        now
    }
}

/// The trap: it asks again while it still has the lock.
pub async fn ask_again(limiter: &SlidingWindow) {
    let mut calls = limiter.calls.lock().await;
    if calls.len() < limiter.limit {
        calls.push_back(Instant::now());
        return;
    }
    if let Some(oldest) = calls.pop_front() {
        sleep_until(oldest + limiter.window).await;
    }
    Box::pin(ask_again(limiter)).await;
}

async fn call(name: u32, limiter: &SlidingWindow) {
    limiter.acquire().await;
    println!("call {name}");
}

pub async fn run() {
    let window = Duration::from_millis(500);

    println!("Asking again with the lock, at most 3 in 0.5 s:");
    let limiter = &SlidingWindow::new(3, window);
    let calls = join_all([1, 2, 3, 4, 5].map(|name| async move {
        ask_again(limiter).await;
        println!("call {name}");
    }));
    if timeout(2 * window, calls).await.is_err() {
        println!("the others still wait");
    }

    println!("At most 3 in 0.5 s:");
    let limiter = &SlidingWindow::new(3, window);
    join_all([1, 2, 3, 4, 5, 6, 7].map(|name| call(name, limiter))).await;

    println!("Calls leave the window one by one, as they came:");
    sleep(window * 2 / 5).await;
    join_all([8, 9, 10, 11, 12].map(|name| call(name, limiter))).await;

    println!("Who gives up does not count:");
    let gives_up = async {
        let patience = Duration::from_millis(100);
        if timeout(patience, call(13, limiter)).await.is_err() {
            println!("call 13 gave up");
        }
    };
    tokio::join!(biased; gives_up, call(14, limiter));
}

#[tokio::main]
pub async fn main() {
    run().await;
}
