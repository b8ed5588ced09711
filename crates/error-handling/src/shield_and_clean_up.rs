//! Shield work from cancellation, return its result, and wait for it at the end.
//!
//! In place of `asyncio.shield`, spawn the work and await its handle. A cancelled caller
//! drops the handle, and the task goes on. A `TaskTracker` counts such tasks and waits
//! for them at the end. After a time limit, a token stops the rest.
//!
//! Bounds: the time until `finish` stops the rest. Unbounded: the number of tasks.
//!
//! Trap: the end of `main` drops a task that nobody awaits, half done. Call `finish`.
//!
//! Trap: if the caller was cancelled, nobody sees the error of the work. Log the error in
//! the work. Since Python 3.14, `shield` logs it by itself.
//!
//! See also: `cleanup_on_cancel`, `graceful_shutdown`, `cancellation`.
//!
//! asyncio: asyncio.shield, asyncio.wait(timeout=), asyncio.Task.cancel
//! try: 10 -> saved

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::timeout;
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
    Done(T),
    /// [`Shield::finish`] stopped the work half done.
    Stopped,
    /// The work has not begun: [`Shield::finish`] had already stopped the rest.
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
            // Checked inside the task: `finish` waits for this task in any case.
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

    /// Waits until all work has ended. After the limit, drops the rest at its current
    /// await. Returns how many tasks were stopped.
    pub async fn finish(&self, limit: Duration) -> usize {
        self.running.close();
        let _in_time = timeout(limit, self.all_ended()).await;
        self.stop.cancel();
        self.all_ended().await;
        self.stopped.load(Relaxed)
    }

    /// Waits until no task runs. If calls begin meanwhile, `wait` alone may return
    /// between the end of one task and the start of the next.
    async fn all_ended(&self) {
        while !self.running.is_empty() {
            self.running.wait().await;
        }
    }
}

/// Saves for 50 ms, while the caller waits for 10 ms: `cargo run -- 10`.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let millis = std::env::args().nth(1).ok_or("usage: MILLISECONDS")?;
    let save = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        println!("saved");
    };
    let (shield, limit) = (Shield::default(), Duration::from_millis(millis.parse()?));
    if timeout(limit, shield.run(save)).await.is_err() {
        println!("the caller timed out");
    }
    println!("stopped: {}", shield.finish(Duration::from_secs(5)).await);
    Ok(())
}
