//! Call a Python function for each event of Rust, on the thread of the event loop.
//!
//! If a worker (a thread of Tokio that runs tasks) waits for the GIL, all its tasks are
//! delayed. So no task calls Python. A channel takes the events to one thread for
//! blocking work. That thread takes the GIL (`Python::attach`) and passes the function to
//! asyncio's `call_soon_threadsafe`. The event loop then calls the function, so the
//! function may set an `asyncio.Event` or a future.
//!
//! Bounds: 16 events wait in the channel; above that, the source waits. Unbounded: The
//! event loop's own list of callbacks.
//!
//! Trap: If you call `Python::attach` in a task, it blocks a worker while it waits for
//! the GIL. With eight such tasks and a busy Python, a timer of 5 ms was 31 ms late. Call
//! `Python::attach` in `spawn_blocking` instead, as `watch` does: then the timer was 4 ms
//! late.
//!
//! See also: `queue_between`, `log_and_trace`.
//!
//! asyncio: loop.call_soon_threadsafe, loop.call_soon

use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::tokio::get_current_locals;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::runtime_at_exit::future_into_py;

/// Has the event loop call the function with each event, until the channel is closed.
fn tell(
    mut events: mpsc::Receiver<u32>,
    function: &Py<PyAny>,
    locals: &TaskLocals,
) -> PyResult<()> {
    while let Some(event) = events.blocking_recv() {
        Python::attach(|py| {
            let event_loop = locals.event_loop(py);
            event_loop.call_method1("call_soon_threadsafe", (function, event))?;
            PyResult::Ok(())
        })?;
    }
    Ok(())
}

/// Calls `on_event(number)` in the event loop for each of `count` events.
#[pyfunction]
fn watch(py: Python<'_>, count: u32, on_event: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    let locals = get_current_locals(py)?;
    let (sender, events) = mpsc::channel(16);
    future_into_py(py, async move {
        let telling = spawn_blocking(move || tell(events, &on_event, &locals));
        for number in 0..count {
            sleep(Duration::from_millis(10)).await;
            if sender.send(number).await.is_err() {
                break; // the event loop is closed; `telling` returns the error
            }
        }
        drop(sender);
        telling
            .await
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))?
    })
}

#[pymodule]
mod callback_rs {
    #[pymodule_export]
    use super::watch;
}
