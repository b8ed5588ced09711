//! Await a Python coroutine from Rust: a retry in Rust around a function in Python.
//!
//! The function `into_future_with_locals` of `pyo3-async-runtimes` schedules the
//! coroutine on the event loop, with the context variables of the caller. It returns a
//! Rust future for the result. Rust holds the GIL (it is attached to Python) only while
//! it makes the coroutine. The body of the coroutine runs on the event loop's thread. If
//! the body raises an exception, Rust gets a `PyErr` with the traceback.
//!
//! Bounds: `retry` calls the Python function at most `times` times, and then raises the
//! last exception. The pause between two calls grows by 10 ms each time.
//!
//! Trap: If a timeout in Rust drops the future, the coroutine keeps running, because
//! dropping the future does not cancel the coroutine. Put an `asyncio.timeout` into the
//! coroutine instead.
//!
//! Trap: If you look for the event loop in a task of Tokio, asyncio raises "no running
//! event loop". Look for it before the task starts: `get_current_locals` returns the
//! event loop and the context of the caller. Move this value into the task, as `retry`
//! does.
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
