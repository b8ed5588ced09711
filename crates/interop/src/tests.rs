//! Functions that panic, for the attacks, and one that looks for the event loop.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3_async_runtimes::get_running_loop;

use crate::runtime_at_exit::future_into_py;

fn fail(place: &str) -> PyResult<()> {
    panic!("{place}");
}

#[pyfunction]
fn panics_in_a_call() -> PyResult<()> {
    fail("in a call")
}

#[pyfunction]
fn panics_in_a_future(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async { fail("in a future") })
}

#[pyfunction]
fn panics_in_a_task(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async {
        tokio::spawn(async { fail("in a task") })
            .await
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))?
    })
}

/// Returns the error: the task does not know which event loop has started it.
#[pyfunction]
fn looks_for_the_event_loop_in_a_task(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async {
        let found = tokio::task::spawn_blocking(|| {
            Python::attach(|py| match get_running_loop(py) {
                Ok(_) => "found".to_owned(),
                Err(error) => error.to_string(),
            })
        });
        found
            .await
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))
    })
}

#[pymodule]
mod tests_rs {
    #[pymodule_export]
    use super::{
        looks_for_the_event_loop_in_a_task, panics_in_a_call, panics_in_a_future,
        panics_in_a_task,
    };
}
