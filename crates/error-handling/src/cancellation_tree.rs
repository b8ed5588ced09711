//! Stop a tree of tasks with a reason: cancellation tokens, parent and child.
//!
//! A `CancellationToken` is a flag that its clones share and that tasks can wait for.
//! Cancelling a token cancels its children, made by `child_token`, but not its parent.
//! `Stop`, a struct of this file, is a token with a reason: the first reason is kept.
//! In a task, `token.run_until_cancelled(work)` awaits the future `work`, and drops it
//! when the token is cancelled. The task itself continues, so it can await a clean-up.
//! In asyncio, the `msg` of `Task.cancel` does not reach the tasks of a `TaskGroup`.
//!
//! Trap: If you pass on a `clone` instead of a child, it is the same token: cancelling it
//! stops everything. Pass on a child.
//!
//! In production: `tokio-graceful-shutdown` runs the tasks of such a tree as subsystems.
//! It stops all of them on Ctrl-C or when one fails, with a time limit.
//!
//! See also: `cancellation`, `graceful_shutdown`, `structured_scope`.
//!
//! asyncio: asyncio.Event, asyncio.Event.set, asyncio.wait, asyncio.FIRST_COMPLETED

use std::future::Future;
use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// A token that is cancelled for a reason. Clones are the same token.
#[derive(Clone, Debug)]
pub struct Stop<R> {
    token: CancellationToken,
    reason: Arc<Reason<R>>,
}

#[derive(Debug)]
struct Reason<R> {
    first: OnceLock<R>,
    above: Option<Arc<Reason<R>>>,
}

/// The work was stopped, for this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped, {0}")]
pub struct Stopped<R>(pub R);

impl<R: Clone> Default for Stop<R> {
    /// Returns the root of a tree.
    fn default() -> Self {
        Self::with(CancellationToken::new(), None)
    }
}

impl<R: Clone> Stop<R> {
    /// Returns a child, which is cancelled with this token, for the same reason.
    /// Cancelling only the child does not cancel this token.
    ///
    /// Dropping a chain of some thousand children of children overflows the stack.
    pub fn child(&self) -> Self {
        let above = Arc::clone(&self.reason);
        Self::with(self.token.child_token(), Some(above))
    }

    fn with(token: CancellationToken, above: Option<Arc<Reason<R>>>) -> Self {
        let first = OnceLock::new();
        let reason = Arc::new(Reason { first, above });
        Self { token, reason }
    }

    /// Cancels this token and its children. Keeps the first reason.
    pub fn cancel(&self, reason: R) {
        if !self.token.is_cancelled() {
            // Before the flag is set: the tasks that it wakes ask for the reason.
            let _ = self.reason.first.set(reason);
            self.token.cancel();
        }
    }

    /// Returns a guard that cancels this token when it is dropped.
    pub fn drop_guard(self, reason: R) -> StopOnDrop<R> {
        StopOnDrop { stop: self, reason }
    }

    /// Returns why this token was cancelled. The reason never changes.
    pub fn reason(&self) -> Option<R> {
        let cancelled = self.token.is_cancelled();
        cancelled.then(|| self.reason.get())
    }

    /// Runs the work. Cancelling this token drops the work at its current await.
    ///
    /// After a cancellation, no work begins. If the work ends at the same time, its value
    /// is returned.
    ///
    /// # Errors
    ///
    /// [`Stopped`] with the reason.
    pub async fn run<F: Future>(&self, work: F) -> Result<F::Output, Stopped<R>> {
        let done = self.token.run_until_cancelled(work).await;
        done.ok_or_else(|| Stopped(self.reason.get()))
    }
}

impl<R: Clone> Reason<R> {
    /// Returns this token's reason, or else the reason of the nearest token above. One of
    /// them was set before the flag.
    fn get(&self) -> R {
        let mut nearest = self;
        while nearest.first.get().is_none() {
            let above = nearest.above.as_ref();
            nearest = above.expect("a root is cancelled for a reason");
        }
        let reason = nearest.first.get().cloned();
        self.first
            .get_or_init(|| reason.expect("it was there"))
            .clone()
    }
}

/// Cancels a token when it is dropped.
#[derive(Debug)]
#[must_use = "it cancels the token when it is dropped"]
pub struct StopOnDrop<R: Clone> {
    stop: Stop<R>,
    reason: R,
}

impl<R: Clone> Drop for StopOnDrop<R> {
    fn drop(&mut self) {
        self.stop.cancel(self.reason.clone());
    }
}

/// Works for some milliseconds, within a time limit: `cargo run -- 5000 50`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let millis = std::env::args().skip(1).map(|millis| millis.parse());
    let millis: Vec<u64> = millis.collect::<Result<_, _>>()?;
    let [work, limit] = millis.as_slice() else {
        return Err("usage: WORK LIMIT, both in milliseconds".into());
    };
    let sleep =
        |millis: &u64| tokio::time::sleep(std::time::Duration::from_millis(*millis));
    let program = Stop::default();
    let (job, time_limit) = (program.child(), sleep(limit));
    tokio::spawn(async move {
        time_limit.await;
        program.cancel("the time limit");
    });
    match job.run(sleep(work)).await {
        Ok(()) => println!("done"),
        Err(stopped) => println!("{stopped}"),
    }
    Ok(())
}

//@ try: 5000 50 -> stopped, the time limit
