//! Shut down jobs that Rust runs in the background, before the event loop ends.
//!
//! A task that Rust spawns does not belong to the event loop: `asyncio.run` neither
//! cancels the task nor waits for it. So the Python program calls `stop`, a function of
//! this file, in a `finally`, and awaits it. `stop` asks the jobs to end, through a
//! `CancellationToken`, and waits for them with a `TaskTracker` (both of `tokio-util`),
//! up to a time limit. This works after Ctrl-C too, because `asyncio.run` then cancels
//! `main`, and its `finally` runs.
//!
//! Trap: If a job is still running when the program exits, the job is dropped at its
//! current await. What it was saving is then half written. Give `stop` a time limit
//! that is longer than the longest save.
//!
//! See also: `runtime_at_exit`, `cancel`.
//!
//! asyncio: asyncio.run, asyncio.wait, asyncio.CancelledError

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pyo3::prelude::*;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::runtime_at_exit::{future_into_py, handle};

static STOP: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);
static JOBS: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);
static SAVED: AtomicUsize = AtomicUsize::new(0);

/// Waits for the end, and saves its state.
async fn job() {
    STOP.cancelled().await;
    sleep(Duration::from_millis(100)).await;
    SAVED.fetch_add(1, Ordering::Relaxed);
}

/// Starts a job in the background.
#[pyfunction]
fn start(py: Python<'_>) -> PyResult<()> {
    JOBS.spawn_on(job(), &handle(py)?);
    Ok(())
}

/// Asks the jobs to stop, and returns how many have saved their state in time.
#[pyfunction]
fn stop(py: Python<'_>, seconds: u64) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async move {
        STOP.cancel();
        JOBS.close();
        let _ = timeout(Duration::from_secs(seconds), JOBS.wait()).await;
        Ok(SAVED.load(Ordering::Relaxed))
    })
}

#[pymodule]
mod shutdown_rs {
    #[pymodule_export]
    use super::{start, stop};
}
