//! Functions that panic, for the attacks.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

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

#[pymodule]
mod tests_rs {
    #[pymodule_export]
    use super::{panics_in_a_call, panics_in_a_future, panics_in_a_task};
}
