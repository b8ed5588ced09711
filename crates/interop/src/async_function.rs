//! Await a Rust function from asyncio; its errors become exceptions.
//!
//! `future_into_py` starts the Rust future on Tokio and returns an `asyncio.Future`.
//! (This function is part of the example `runtime_at_exit`, which also shuts Tokio down.)
//! The work starts at the call, as with a task, not at the await. `Failure` is the error
//! type of this file. Its `impl From<Failure> for PyErr` decides which exception each
//! failure becomes, so the function uses `?` as usual.
//!
//! Bounds: Unbounded: Each call is a task of Tokio, and nothing limits their number.
//!
//! Trap: If you pass the result of the Rust function to `create_task` or to a
//! `TaskGroup`, asyncio raises "a coroutine was expected, got <Future". Both take
//! coroutines, and the Rust function returns a future. Await the future in an
//! `async def`, as `fetch_one` in the Python file does.
//!
//! Trap: If you call the Rust function before the event loop runs, as in
//! `asyncio.run(fetch("a", 1))`, the call fails with "no running event loop". The same
//! happens in a thread of `asyncio.to_thread`. Call the Rust function in an
//! `async def`.
//!
//! See also: `runtime_at_exit`, `cancel`.
//!
//! asyncio: asyncio.run, asyncio.gather, asyncio.timeout, asyncio.TaskGroup

use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyTimeoutError};
use pyo3::prelude::*;
use tokio::time::{sleep, timeout};

use crate::runtime_at_exit::future_into_py;

create_exception!(
    async_function_rs,
    FetchError,
    PyException,
    "Why there is no page."
);

enum Failure {
    NotFound(String),
    TooSlow,
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound(name) => {
                FetchError::new_err((format!("no page {name}"), 404))
            }
            Failure::TooSlow => PyTimeoutError::new_err("the page takes too long"),
        }
    }
}

async fn fetch_page(name: String, wait: Duration) -> Result<String, Failure> {
    let longest = Duration::from_millis(300);
    let answered = timeout(longest, sleep(wait)).await; // as a request to a server
    if answered.is_err() {
        return Err(Failure::TooSlow);
    }
    if name == "bad" {
        return Err(Failure::NotFound(name));
    }
    Ok(format!("page {name}"))
}

/// Fetches a page whose server takes `ms` milliseconds.
#[pyfunction]
fn fetch(py: Python<'_>, name: String, ms: u64) -> PyResult<Bound<'_, PyAny>> {
    let wait = Duration::from_millis(ms);
    future_into_py(py, async move { Ok(fetch_page(name, wait).await?) })
}

#[pymodule]
mod async_function_rs {
    #[pymodule_export]
    use super::{FetchError, fetch};
}
