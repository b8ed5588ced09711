//! Await a Python coroutine from Rust: a retry in Rust around a function in Python.
//!
//! `into_future_with_locals` schedules the coroutine on the event loop, with the context
//! variables of the caller. Rust awaits its result as a future. Rust is attached to
//! Python (it holds the GIL) only while it makes the coroutine. The body runs on the
//! event loop's thread. An exception arrives as a `PyErr` with its traceback.
//!
//! Bounds: `times` calls. The delay grows by 10 ms with each call.
//!
//! Trap: Dropping the future does not cancel the coroutine. After a timeout in Rust, the
//! coroutine keeps running. Put the timeout into Python, as `asyncio.timeout`.
//!
//! Trap: A task of Tokio has no event loop, and asyncio raises "no running event loop".
//! Call `get_current_locals` before the first await.
//!
//! See also: `callback`, `async_iterator`.
//!
//! asyncio: asyncio.run_coroutine_threadsafe, contextvars.copy_context

use std::time::Duration;

use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::get_current_locals;
use pyo3_async_runtimes::{TaskLocals, into_future_with_locals};
use tokio::time::sleep;

use crate::runtime_at_exit::future_into_py;

/// Calls and awaits `make()` on its event loop.
async fn call(make: &Py<PyAny>, locals: &TaskLocals) -> PyResult<Py<PyAny>> {
    let future =
        Python::attach(|py| into_future_with_locals(locals, make.bind(py).call0()?))?;
    future.await
}

/// Awaits `make()` until it succeeds, at most `times` times.
#[pyfunction]
fn retry(py: Python<'_>, make: Py<PyAny>, times: u32) -> PyResult<Bound<'_, PyAny>> {
    let locals = get_current_locals(py)?;
    future_into_py(py, async move {
        for tried in 1..times {
            match call(&make, &locals).await {
                Ok(value) => return Ok(value),
                Err(_) => sleep(Duration::from_millis(10) * tried).await,
            }
        }
        call(&make, &locals).await
    })
}

#[pymodule]
mod call_python_rs {
    #[pymodule_export]
    use super::retry;
}
