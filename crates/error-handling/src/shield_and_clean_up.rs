//! Shield work from cancellation, return its result, and wait for it at the end.
//!
//! `asyncio.shield` becomes a task whose handle is awaited. A cancelled caller drops the
//! handle, and the task goes on. A `TaskTracker` counts such tasks and waits for them at
//! the end. After a time limit, a token stops the rest.
//!
//! Bounds: the time that `finish` waits. Unbounded: the number of tasks.
//!
//! Trap: the end of `main` drops a task that nobody awaits, half done.
//!
//! Trap: if the caller has gone, nobody sees the error of the work. Log it in the work.
//! Since Python 3.14 `shield` logs it by itself.
//!
//! See also: `cleanup_on_cancel`, `graceful_shutdown`, `cancellation`.
//!
//! asyncio: asyncio.shield, asyncio.wait(timeout=), asyncio.Task.cancel

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs work that goes on when its caller is cancelled. Clones share the work.
#[derive(Clone, Debug, Default)]
pub struct Shield {
    running: TaskTracker,
    stop: CancellationToken,
    stopped: Arc<AtomicUsize>,
}

/// How work ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended<T> {
    /// The work returned this value.
    Done(T),
    /// [`Shield::finish`] stopped the work half done.
    Stopped,
    /// The work has not begun, as [`Shield::finish`] was over.
    Refused,
}

impl Shield {
    /// Runs the work as a task, and waits for it. Dropping the future ends only the wait.
    /// A future that was never polled does nothing.
    ///
    /// # Errors
    ///
    /// If the work panicked, or the runtime shuts down.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<Ended<T>, JoinError> {
        let (stop, stopped) = (self.stop.clone(), Arc::clone(&self.stopped));
        let task = async move {
            // Asked in the task, for which `finish` waits, so that each is counted.
            if stop.is_cancelled() {
                return Ended::Refused;
            }
            match stop.run_until_cancelled(work).await {
                Some(value) => Ended::Done(value),
                None => {
                    stopped.fetch_add(1, Relaxed);
                    Ended::Stopped
                }
            }
        };
        self.running.spawn(task).await
    }

    /// Waits until all work has ended. After the limit it stops the rest, which is
    /// dropped at its current await. Returns how many were stopped.
    pub async fn finish(&self, limit: Duration) -> usize {
        self.running.close();
        // Late or not, the rest is the same.
        let _in_time = timeout(limit, self.all_ended()).await;
        self.stop.cancel();
        self.all_ended().await;
        self.stopped.load(Relaxed)
    }

    /// While new calls begin, `wait` may return for a moment that is over, in which one
    /// task had ended and the next had not begun.
    async fn all_ended(&self) {
        while !self.running.is_empty() {
            self.running.wait().await;
        }
    }
}

/// Takes 0.1 s a row.
async fn write(order: &'static str, rows: u32) -> Result<u32, String> {
    for row in 1..=rows {
        sleep(Duration::from_millis(100)).await;
        println!("{order}: row {row} of {rows}");
    }
    if order == "Bob" {
        return Err("the disk is full".to_string());
    }
    Ok(rows)
}

/// Reports its error, as the caller may have left.
async fn save(order: &'static str, rows: u32) -> Result<u32, String> {
    let outcome = write(order, rows).await;
    if let Err(error) = &outcome {
        println!("{order}: not saved, {error}");
    }
    outcome
}

/// Runs the caller as a task, cancels it after a while, and prints how it ended.
async fn cancel_after(
    millis: u64,
    caller: impl Future<Output: Send> + Send + 'static,
) -> Result<(), JoinError> {
    let caller = tokio::spawn(caller);
    sleep(Duration::from_millis(millis)).await;
    caller.abort();
    match caller.await {
        Err(error) if error.is_cancelled() => println!("the caller is cancelled"),
        outcome => drop(outcome?),
    }
    Ok(())
}

pub async fn run() -> Result<(), JoinError> {
    let shield = Shield::default();
    let rest = Duration::from_millis(250);
    let call = |order, rows| {
        let shield = shield.clone();
        async move { shield.run(save(order, rows)).await }
    };

    println!("No shield:");
    cancel_after(150, save("Ada", 3)).await?;
    sleep(rest).await;

    println!("A shield:");
    cancel_after(150, call("Ada", 3)).await?;
    sleep(rest).await;

    println!("A shield, and an error after the caller has left:");
    cancel_after(150, call("Bob", 2)).await?;
    sleep(rest).await;

    println!("A shield, and nobody leaves:");
    for order in ["Ada", "Bob"] {
        match call(order, 1).await? {
            Ended::Done(Ok(rows)) => println!("the caller has saved {rows}"),
            Ended::Done(Err(error)) => println!("the caller has failed: {error}"),
            unsaved => println!("the caller has saved nothing: {unsaved:?}"),
        }
    }

    println!("At the end, two are left, which get 0.2 s more:");
    cancel_after(50, call("Cyd", 2)).await?;
    let caller = tokio::spawn(call("Dan", 4));
    sleep(Duration::from_millis(50)).await;
    println!(
        "stopped: {}",
        shield.finish(Duration::from_millis(200)).await
    );
    for (order, outcome) in [("Dan", caller.await??), ("Eve", call("Eve", 1).await?)] {
        match outcome {
            Ended::Done(outcome) => println!("{order}: {outcome:?}"),
            Ended::Stopped => println!("{order}: stopped half done"),
            Ended::Refused => println!("{order}: not begun"),
        }
    }
    sleep(rest).await;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
