//! One deadline for several calls: a time budget that is passed down, and can be moved.
//!
//! Pass a deadline, not a duration: each function would have to count a duration down.
//! `at_most` gives one call less time, `reschedule` moves the deadline, and `remaining`
//! returns the time left.
//!
//! Trap: a limit for each call adds up. Three calls of 0.25 s each may take 0.75 s.
//!
//! Trap: after its moment, `timeout_at` still begins the call and drops it at its first
//! await. A `Deadline` refuses such a call.
//!
//! In production: `tonic` sends the time limit to the server, in a header of the request.
//!
//! See also: `timeouts`, `timeout_of_blocking_work`.
//!
//! asyncio: asyncio.timeout, asyncio.timeout_at, asyncio.Timeout.reschedule
//! asyncio: asyncio.Timeout, asyncio.Timeout.when
//! try: 0 127.0.0.1:1 -> DeadlineExceeded

use std::pin::pin;
use std::time::Duration;

use tokio::select;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// The moment by which calls must have ended. `reschedule` also moves the clones and the
/// results of [`at_most`](Self::at_most).
#[derive(Clone, Debug)]
pub struct Deadline {
    /// Each call has a receiver, which sees every new moment.
    moment: watch::Sender<Instant>,
    /// A limit that `reschedule` does not move.
    at_latest: Option<Instant>,
}

/// The deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the deadline has passed")]
pub struct DeadlineExceeded;

/// Returns the moment after this time, or in 30 years if the clock cannot hold it.
fn after(time: Duration) -> Instant {
    let now = Instant::now();
    let years = Duration::from_secs(30 * 365 * 24 * 3600);
    now.checked_add(time).unwrap_or_else(|| now + years)
}

impl Deadline {
    /// Returns a deadline after this time. `Duration::MAX` practically never comes.
    pub fn after(limit: Duration) -> Self {
        Self {
            moment: watch::Sender::new(after(limit)),
            at_latest: None,
        }
    }

    /// Returns the same deadline for one of the calls, but at most this time from now.
    ///
    /// After [`DeadlineExceeded`], [`remaining`](Self::remaining) of the whole deadline
    /// tells which of the two has passed.
    pub fn at_most(&self, limit: Duration) -> Self {
        let own = after(limit);
        let at_latest = self.at_latest.map_or(own, |latest| latest.min(own));
        Self {
            moment: self.moment.clone(),
            at_latest: Some(at_latest),
        }
    }

    /// Moves the deadline to this time from now, also for running calls.
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

    /// Runs the call. The deadline drops it at its current await.
    ///
    /// After the deadline, no call begins. A call that ends at that moment returns its
    /// value. Tasks that the call has spawned go on, and so does blocking work. This is
    /// as cancel-safe as the call.
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
                // First, so that a busy call cannot delay a `reschedule`.
                biased;
                _ = moves.changed() => {}
                outcome = timeout_at(moment, &mut call) => {
                    // Otherwise check once more: the deadline may have moved just now.
                    if let Ok(output) = outcome {
                        return Ok(output);
                    }
                }
            }
        }
    }
}

/// Connects to all hosts within some milliseconds: `cargo run -- 500 localhost:5432`.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let millis = args.next().ok_or("usage: MILLISECONDS HOST:PORT...")?;
    let deadline = Deadline::after(Duration::from_millis(millis.parse()?));
    for host in args {
        match deadline.run(tokio::net::TcpStream::connect(&host)).await? {
            Ok(_) => println!("{host}: connected, {:?} left", deadline.remaining()),
            Err(error) => println!("{host}: {error}"),
        }
    }
    Ok(())
}
