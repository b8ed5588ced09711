//! Cancel Rust from asyncio: the awaited future is dropped, a spawned task keeps running.
//!
//! In Python, `task.cancel()` and `asyncio.timeout` cancel the `asyncio.Future` of the
//! call. A moment later, on another thread, the Rust future is dropped at its current
//! await. Clean up in a `Drop`, as `Guard` below does. Work that must go on is spawned as
//! a task of Tokio, the counterpart of `asyncio.shield`. A second `cancel` is harmless.
//!
//! Trap: If your Rust function spawns a task and awaits its `JoinHandle`, a cancelled
//! call does not stop the task. Dropping a `JoinHandle` does not stop its task. If the
//! work must end with the call, await it directly, or keep an `AbortOnDropHandle` of
//! `tokio-util`.
//!
//! Trap: If your Python code uses the result of the Rust clean-up in its
//! `except CancelledError`, the result may not be there yet, because the clean-up may
//! still be running. Wait until Rust reports that the clean-up is done, as the coroutine
//! `noted` of the Python file does.
//!
//! See also: `context_manager`, `shutdown`.
//!
//! asyncio: asyncio.Task.cancel, asyncio.timeout, asyncio.shield

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::time::sleep;

use crate::runtime_at_exit::future_into_py;

static NOTES: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn lock() -> MutexGuard<'static, Vec<String>> {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that its work is cancelled, unless it is disarmed.
struct Guard {
    name: Option<String>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            lock().push(format!("{name} cancelled"));
        }
    }
}

async fn step(name: String, wait: Duration) {
    let mut guard = Guard {
        name: Some(name.clone()),
    };
    sleep(wait).await;
    guard.name = None;
    lock().push(format!("{name} done"));
}

/// Is dropped when its await is cancelled.
#[pyfunction]
fn work(py: Python<'_>, name: String, ms: u64) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async move {
        step(name, Duration::from_millis(ms)).await;
        Ok(())
    })
}

/// Keeps running when its await is cancelled.
#[pyfunction]
fn shielded(py: Python<'_>, name: String, ms: u64) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async move {
        let task = tokio::spawn(step(name, Duration::from_millis(ms)));
        task.await
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))
    })
}

/// Returns what has happened since the last call.
#[pyfunction]
fn notes() -> Vec<String> {
    std::mem::take(&mut *lock())
}

#[pymodule]
mod cancel_rs {
    #[pymodule_export]
    use super::{notes, shielded, work};
}
