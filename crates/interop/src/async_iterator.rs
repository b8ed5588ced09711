//! Read a Rust stream with `async for`, and a Python async generator from Rust.
//!
//! To Python, the stream is an object of the class `Rows` below, with `__aiter__`,
//! `__anext__` and `aclose`. A task of Tokio fills a bounded channel, so the task is at
//! most `ahead` rows ahead of the reader. In the other direction, the function `total`
//! below awaits `__anext__` of a Python generator. It calls `aclose` even after an error,
//! as `contextlib.aclosing` does.
//!
//! Bounds: Each stream holds at most `ahead` rows; then its task waits.
//!
//! Trap: If you yield thousands of single rows, the loop is slow, because the step from
//! Rust to Python takes about 100 microseconds for each row. Yield batches of rows.
//!
//! Trap: If you leave the `async for` with `break`, Python does not call `aclose`. The
//! task then waits at the full channel until Python drops the `Rows`. Use
//! `contextlib.aclosing`.
//!
//! See also: `queue_between`, `call_python`.
//!
//! asyncio: asyncio.Queue

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::get_current_locals;
use pyo3_async_runtimes::{TaskLocals, into_future_with_locals};
use tokio::sync::{Mutex, mpsc};
use tokio::time::sleep;

use crate::runtime_at_exit::{future_into_py, handle};

/// Rows from a separate task.
#[pyclass(frozen)]
struct Rows {
    receiver: Arc<Mutex<mpsc::Receiver<u64>>>,
}

#[pymethods]
impl Rows {
    #[new]
    fn new(py: Python<'_>, count: u64, ahead: NonZero<u16>) -> PyResult<Self> {
        let (sender, receiver) = mpsc::channel(ahead.get().into());
        handle(py)?.spawn(async move {
            for row in 0..count {
                sleep(Duration::from_millis(10)).await;
                if sender.send(row).await.is_err() {
                    return; // closed: nobody reads the rest
                }
            }
        });
        let receiver = Arc::new(Mutex::new(receiver));
        Ok(Self { receiver })
    }

    fn __aiter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let receiver = self.receiver.clone();
        future_into_py(py, async move {
            let row = receiver.lock().await.recv().await;
            row.ok_or_else(|| PyStopAsyncIteration::new_err(()))
        })
    }

    /// Ends the task, and drops the rows that nobody has read.
    fn aclose<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let receiver = self.receiver.clone();
        future_into_py(py, async move {
            let mut receiver = receiver.lock().await;
            receiver.close();
            while receiver.try_recv().is_ok() {}
            Ok(())
        })
    }
}

/// Awaits what the method returns, on the event loop.
async fn call(
    object: &Py<PyAny>,
    method: &str,
    locals: &TaskLocals,
) -> PyResult<Py<PyAny>> {
    let future = Python::attach(|py| {
        into_future_with_locals(locals, object.bind(py).call_method0(method)?)
    })?;
    future.await
}

async fn add_up(rows: &Py<PyAny>, most: u64, locals: &TaskLocals) -> PyResult<u64> {
    let mut sum = 0;
    while sum < most {
        let row = call(rows, "__anext__", locals).await;
        let row = Python::attach(|py| match row {
            Ok(row) => row.extract::<u64>(py).map(Some),
            Err(error) if error.is_instance_of::<PyStopAsyncIteration>(py) => Ok(None),
            Err(error) => Err(error),
        })?;
        match row {
            Some(row) => sum += row,
            None => break,
        }
    }
    Ok(sum)
}

/// Adds up what an async generator yields until the sum is `most`, and closes it.
#[pyfunction]
fn total(py: Python<'_>, rows: Py<PyAny>, most: u64) -> PyResult<Bound<'_, PyAny>> {
    let locals = get_current_locals(py)?;
    future_into_py(py, async move {
        let sum = add_up(&rows, most, &locals).await;
        call(&rows, "aclose", &locals).await?;
        sum
    })
}

#[pymodule]
mod async_iterator_rs {
    #[pymodule_export]
    use super::{Rows, total};
}
