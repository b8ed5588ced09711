//! One deadline for several calls: a time budget that is passed down, and can be moved.
//!
//! Pass functions and tasks the moment, not a duration, which each must count down. A
//! deadline can be shorter for one call, can be moved as by `reschedule`, and tells how
//! much time is left.
//!
//! Trap: a limit for each call adds up. Three calls of 0.25 s each may take 0.75 s.
//!
//! Trap: `timeout_at` with a moment that has passed still begins the call, and drops it
//! at an await. Here such a call is refused.
//!
//! In production: `tonic` sends the deadline to the server, in a header of the request.
//!
//! See also: `timeouts`, `timeout_of_blocking_work`.
//!
//! asyncio: asyncio.timeout, asyncio.timeout_at, asyncio.Timeout.reschedule
//! asyncio: asyncio.Timeout, asyncio.Timeout.when

use std::pin::pin;
use std::time::Duration;

use tokio::select;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// The moment by which calls must have ended. Clones, and the results of
/// [`at_most`](Self::at_most), are moved together.
#[derive(Clone, Debug)]
pub struct Deadline {
    /// Each call has a receiver, and so learns of a move.
    moment: watch::Sender<Instant>,
    /// Not moved with the rest.
    at_latest: Option<Instant>,
}

/// The deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline has passed")]
pub struct DeadlineExceeded;

/// Returns the moment at this time from now, or in 30 years if the clock cannot hold it.
fn after(time: Duration) -> Instant {
    let now = Instant::now();
    let years = Duration::from_secs(30 * 365 * 24 * 3600);
    now.checked_add(time).unwrap_or_else(|| now + years)
}

impl Deadline {
    /// Returns a deadline at this time from now. `Duration::MAX` practically never comes.
    pub fn after(limit: Duration) -> Self {
        Self {
            moment: watch::Sender::new(after(limit)),
            at_latest: None,
        }
    }

    /// Returns the same deadline, but at most this time from now: for one of the calls.
    ///
    /// After [`DeadlineExceeded`], look at [`remaining`](Self::remaining) of the whole
    /// deadline to know which of the two has passed.
    pub fn at_most(&self, limit: Duration) -> Self {
        let own = after(limit);
        let at_latest = self.at_latest.map_or(own, |latest| latest.min(own));
        Self {
            moment: self.moment.clone(),
            at_latest: Some(at_latest),
        }
    }

    /// Moves the deadline to this time from now, also for the calls that run.
    ///
    /// The limits of [`at_most`](Self::at_most) stay. A deadline that has passed can be
    /// moved, but the calls that it ended stay ended.
    pub fn reschedule(&self, limit: Duration) {
        self.moment.send_replace(after(limit));
    }

    /// Returns the time until the deadline, or zero after it.
    pub fn remaining(&self) -> Duration {
        let moment = self.earlier(*self.moment.borrow());
        moment.saturating_duration_since(Instant::now())
    }

    fn earlier(&self, moment: Instant) -> Instant {
        self.at_latest.map_or(moment, |latest| latest.min(moment))
    }

    /// Runs the call until the deadline, which drops it at its current await.
    ///
    /// After the deadline, no call begins. A call that ends at that moment returns its
    /// value. Tasks that the call has spawned go on, and so does blocking work. As
    /// cancel-safe as the call.
    ///
    /// # Errors
    ///
    /// [`DeadlineExceeded`]. An error of the call itself is inside the `Ok`.
    ///
    /// # Panics
    ///
    /// When the call does, and in a runtime whose timers are not enabled.
    pub async fn run<F: Future>(&self, call: F) -> Result<F::Output, DeadlineExceeded> {
        let mut moves = self.moment.subscribe();
        let mut call = pin!(call);
        loop {
            let moment = self.earlier(*moves.borrow_and_update());
            if moment <= Instant::now() {
                return Err(DeadlineExceeded);
            }
            select! {
                // First, or a call that is always busy would keep a move from being seen.
                biased;
                _ = moves.changed() => {}
                outcome = timeout_at(moment, &mut call) => {
                    // Otherwise check once more, as it may have been moved just now.
                    if let Ok(output) = outcome {
                        return Ok(output);
                    }
                }
            }
        }
    }
}

async fn fetch(part: &str, millis: u64) {
    sleep(Duration::from_millis(millis)).await;
    println!("{part}");
}

/// From the cache, which is given 0.1 s, or else from the database.
async fn orders(deadline: &Deadline) -> Result<(), DeadlineExceeded> {
    let cache = deadline.at_most(Duration::from_millis(100));
    match cache.run(fetch("orders from the cache", 300)).await {
        Ok(()) => Ok(()),
        Err(DeadlineExceeded) => deadline.run(fetch("orders", 200)).await,
    }
}

/// A page, with reviews if there is time.
async fn page(deadline: &Deadline) -> Result<(), DeadlineExceeded> {
    deadline.run(fetch("user", 200)).await?;
    orders(deadline).await?;
    if deadline.remaining() >= Duration::from_millis(400) {
        deadline.run(fetch("reviews", 200)).await?;
    } else {
        println!("no time for reviews");
    }
    Ok(())
}

/// Ends when there is no chunk for 0.3 s.
async fn download() -> Result<(), DeadlineExceeded> {
    let limit = Duration::from_millis(300);
    let deadline = Deadline::after(limit);
    let chunks = async {
        for (number, millis) in (1..).zip([200, 200, 500]) {
            fetch(&format!("chunk {number}"), millis).await;
            deadline.reschedule(limit);
        }
    };
    deadline.run(chunks).await
}

fn report(outcome: Result<(), DeadlineExceeded>) {
    match outcome {
        Ok(()) => println!("in time"),
        Err(error) => println!("error: {error}"),
    }
}

pub async fn run() -> Result<(), JoinError> {
    println!("0.25 s for each of three calls:");
    let calls = async {
        for part in ["user", "orders", "reviews"] {
            let limit = Duration::from_millis(250);
            let call = timeout(limit, fetch(part, 200)).await;
            call.map_err(|_| DeadlineExceeded)?;
        }
        Ok(())
    };
    report(calls.await);

    for millis in [1000, 800, 400] {
        println!("{millis} ms for all of them:");
        let deadline = Deadline::after(Duration::from_millis(millis));
        report(page(&deadline).await);
    }

    println!("Moved by each chunk:");
    report(download().await);

    println!("Moved by another task:");
    let deadline = Deadline::after(Duration::from_secs(1));
    let calls = [("upload", 150), ("upload of everything", 800)].map(|(name, millis)| {
        let deadline = deadline.clone();
        tokio::spawn(async move { deadline.run(fetch(name, millis)).await })
    });
    sleep(Duration::from_millis(100)).await;
    println!("closing in 0.1 s");
    deadline.reschedule(Duration::from_millis(100));
    for call in calls {
        report(call.await?);
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
