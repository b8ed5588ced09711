//! A panic in a task: notice it, pass it on, or start the task again (a supervisor).
//!
//! A panic ends its task and not the program, unless Cargo.toml sets `panic = "abort"`.
//! Awaiting the handle of a task that has panicked returns a `JoinError`, and
//! `resume_unwind` continues the panic in the caller. `supervise` below restarts the
//! task; the job that panicked is lost.
//!
//! Bounds: `supervise` restarts the task at most `restarts` times in all.
//!
//! Trap: If you do not await the task's handle, a panic leaves the program without its
//! worker. Only a message on standard error reports the panic. Python has the same trap.
//! Await the handle, as `supervise` does.
//!
//! Trap: If a task panics while it holds the lock of a std `Mutex`, the `Mutex` is
//! poisoned: later calls of `lock` return an error. A Tokio `Mutex` is not poisoned, so
//! the next task may see half-changed data. Under the lock, do first what may panic, and
//! then change the data.
//!
//! See also: `restart_with_backoff`, `panic_hook`, `task_results`, `first_error_wins`.
//!
//! asyncio: asyncio.create_task, await, asyncio.Task.cancel, raise

use std::any::Any;
use std::future::Future;
use std::panic::resume_unwind;
use std::time::Duration;

use thiserror::Error;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// Why the task is not restarted.
#[derive(Debug, Error)]
pub enum GaveUp {
    /// The task panicked, and no restart was left.
    #[error("gave up after {panics} panics")]
    Panicked {
        /// How often the task panicked.
        panics: u32,
        /// The last panic.
        #[source]
        last: JoinError,
    },
    /// The runtime is being shut down, which aborts the task.
    #[error("the runtime shuts down")]
    ShutDown,
}

/// Runs the future of `start` as a task, and returns its output. After a panic, pauses
/// and restarts the task, at most `restarts` times in all.
///
/// Dropping the future aborts the task.
///
/// # Errors
///
/// [`GaveUp`] after one panic more than there are restarts, or when the runtime shuts
/// down.
///
/// # Panics
///
/// When `start` itself does, because it runs in the caller.
pub async fn supervise<F>(
    restarts: u32,
    pause: Duration,
    mut start: impl FnMut() -> F,
) -> Result<F::Output, GaveUp>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut panics = 0;
    loop {
        let task = AbortOnDropHandle::new(tokio::spawn(start()));
        let last = match task.await {
            Ok(output) => return Ok(output),
            Err(error) => error,
        };
        if !last.is_panic() {
            return Err(GaveUp::ShutDown);
        }
        panics += 1;
        if panics > restarts {
            return Err(GaveUp::Panicked { panics, last });
        }
        sleep(pause).await;
    }
}

/// Returns the text of a panic. The payload is a `&str` or, if formatted, a `String`.
pub fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref().copied())
        .unwrap_or("no text")
}

/// Returns the task's value, or `None` if it was aborted. Dropping the future does not
/// stop the task.
///
/// # Panics
///
/// When the task has panicked, with the same payload.
pub async fn join<T>(task: JoinHandle<T>) -> Option<T> {
    match task.await.map_err(JoinError::try_into_panic) {
        Ok(value) => Some(value),
        Err(Ok(payload)) => resume_unwind(payload),
        Err(Err(_)) => None,
    }
}

/// Squares numbers, and continues after a text that is no number: `cargo run -- 1 x 3`.
#[tokio::main]
async fn main() -> Result<(), GaveUp> {
    let jobs: Vec<String> = std::env::args().skip(1).collect();
    let jobs = std::sync::Arc::new(std::sync::Mutex::new(jobs.into_iter()));
    let worker = || {
        let jobs = std::sync::Arc::clone(&jobs);
        let next = move || jobs.lock().ok().and_then(|mut jobs| jobs.next());
        async move {
            while let Some(job) = next() {
                let number: u32 = job.parse().expect("a number");
                println!("{number} squared is {}", number.pow(2));
            }
        }
    };
    supervise(3, Duration::from_millis(10), worker).await
}

//@ stderr: job 0 has no work
//@ try: 1 x 3 -> 3 squared is 9
