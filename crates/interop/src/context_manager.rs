//! A Rust class for `async with`: a transaction that commits, or rolls back on an error.
//!
//! `__aenter__` and `__aexit__` of `Transaction` below return futures, which Python
//! awaits. `__aexit__` gets the exception of the block and returns False, so the caller
//! gets the exception, too. Commit and rollback run in a separate task of Tokio. If a
//! second cancellation comes during the rollback, it ends only the wait, not the
//! rollback.
//!
//! Trap: If you do the rollback in `__aexit__` without a separate task, a `cancel` during
//! `__aexit__` drops the rollback at its await. The transaction stays open.
//!
//! Trap: If the program ends while such a task still rolls back, the rollback is dropped.
//! Wait for these tasks before the exit, as the example `shutdown` does.
//!
//! See also: `cancel`, `shutdown`.
//!
//! asyncio: asyncio.shield, contextlib.asynccontextmanager

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::time::sleep;

use crate::runtime_at_exit::{future_into_py, handle};

/// The statements that a server has seen.
#[derive(Clone, Default)]
struct Steps {
    list: Arc<Mutex<Vec<String>>>,
}

impl Steps {
    fn push(&self, step: String) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(step);
    }

    async fn end(self, how: &str) {
        sleep(Duration::from_millis(50)).await; // as a round trip to the server
        self.push(how.to_owned());
    }
}

#[pyclass(frozen)]
struct Transaction {
    steps: Steps,
}

#[pymethods]
impl Transaction {
    #[new]
    fn new() -> Self {
        Self {
            steps: Steps::default(),
        }
    }

    fn execute(&self, statement: String) {
        self.steps.push(statement);
    }

    fn steps(&self) -> Vec<String> {
        let list = &self.steps.list;
        list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn __aenter__(this: Py<Self>, py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        future_into_py(py, async move {
            sleep(Duration::from_millis(50)).await;
            Ok(this) // what `as` binds
        })
    }

    #[pyo3(signature = (kind, _error, _traceback))]
    fn __aexit__<'py>(
        &self,
        py: Python<'py>,
        kind: &Bound<'py, PyAny>,
        _error: &Bound<'py, PyAny>,
        _traceback: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let how = if kind.is_none() { "commit" } else { "rollback" };
        let ending = handle(py)?.spawn(self.steps.clone().end(how));
        future_into_py(py, async move {
            ending
                .await
                .map_err(|error| PyRuntimeError::new_err(error.to_string()))?;
            Ok(false)
        })
    }
}

#[pymodule]
mod context_manager_rs {
    #[pymodule_export]
    use super::Transaction;
}
