//! Stop a tree of tasks, and say why: cancellation tokens, parent and child, a reason.
//!
//! A `CancellationToken` is a flag that its clones share and can wait for. Cancelling it
//! cancels its children, made by `child_token`, but not its parent. `run_until_cancelled`
//! drops the work, and the task goes on: it can still await. The first reason is kept in
//! a `OnceLock`. In asyncio the `msg` of `Task.cancel` does not reach the group's tasks.
//!
//! Trap: `clone` makes no child. It is the same token, and cancelling it stops
//! everything.
//!
//! In production: `tokio-graceful-shutdown` runs the tasks of such a tree as subsystems.
//! It stops all of them on Ctrl-C or when one fails, with a time limit.
//!
//! See also: `cancellation`, `graceful_shutdown`, `structured_scope`.
//!
//! asyncio: asyncio.Event, asyncio.Event.set, asyncio.wait, asyncio.FIRST_COMPLETED

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;
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

impl<R: Clone> Stop<R> {
    /// Returns the root of a tree.
    pub fn new() -> Self {
        Self::with(CancellationToken::new(), None)
    }

    /// Returns a token that is cancelled with this one, for the same reason, or alone.
    ///
    /// A chain of some thousand children of children overflows the stack when it is
    /// dropped.
    pub fn child(&self) -> Self {
        let above = Arc::clone(&self.reason);
        Self::with(self.token.child_token(), Some(above))
    }

    fn with(token: CancellationToken, above: Option<Arc<Reason<R>>>) -> Self {
        let first = OnceLock::new();
        let reason = Arc::new(Reason { first, above });
        Self { token, reason }
    }

    /// Cancels this token and its children. The first reason stays.
    pub fn cancel(&self, reason: R) {
        if !self.token.is_cancelled() {
            // Before the flag is set: tasks that are woken by it ask for the reason.
            let _ = self.reason.first.set(reason);
            self.token.cancel();
        }
    }

    /// Returns a guard that cancels it on drop.
    pub fn drop_guard(self, reason: R) -> StopOnDrop<R> {
        StopOnDrop { stop: self, reason }
    }

    /// Returns why this was cancelled. A reason never changes.
    pub fn reason(&self) -> Option<R> {
        let cancelled = self.token.is_cancelled();
        cancelled.then(|| self.reason.get())
    }

    /// Runs the work until this is cancelled, which drops the work at its current await.
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
    /// Its own, or else the nearest above: one of them was set before the flag.
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

type Why = &'static str;

/// Works for so many milliseconds. If it is stopped, its clean-up takes some, too.
async fn request(name: &'static str, work: u64, clean_up: u64, stop: Stop<Why>) {
    match stop.run(sleep(Duration::from_millis(work))).await {
        Ok(()) => println!("{name}: done"),
        Err(stopped) => {
            sleep(Duration::from_millis(clean_up)).await;
            println!("{name}: {stopped}");
        }
    }
}

pub async fn run() {
    let pause = Duration::from_millis(200);
    let server = Stop::new();
    let mut requests = JoinSet::new();

    println!("Two connections with three requests each:");
    let first = server.child();
    let client = first.child();
    requests.spawn(request("1a", 900, 50, client.clone()));
    requests.spawn(request("1b", 900, 100, first.child()));
    requests.spawn(request("1c", 900, 150, first.child()));
    let second = server.child();
    requests.spawn(request("2a", 100, 50, second.child()));
    requests.spawn(request("2b", 900, 50, second.child()));
    requests.spawn(request("2c", 900, 100, second.child()));
    let guard = second.drop_guard("the connection is lost");
    sleep(pause).await;

    println!("One request is stopped:");
    client.cancel("the client left");
    sleep(pause).await;

    println!("The owner of a connection goes:");
    drop(guard);
    sleep(pause).await;

    println!("A clone of the first connection's token stops all its requests:");
    let no_child = first.clone();
    no_child.cancel("too many errors");
    sleep(pause).await;

    println!("The server is stopped, with one new connection, and with one too late:");
    requests.spawn(request("3a", 900, 50, server.child()));
    sleep(pause).await;
    server.cancel("shutting down");
    sleep(pause).await;
    requests.spawn(request("4a", 900, 50, server.child()));
    requests.join_all().await;

    println!("The first reason stays:");
    for stop in [client, first, server] {
        stop.cancel("later");
        println!("{}", stop.reason().unwrap_or("none"));
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
