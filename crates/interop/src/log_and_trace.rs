//! Log from Rust into Python's `logging`: its levels, filters and handlers decide.
//!
//! `pyo3-log` is a logger for the crate `log`. It is installed when Python imports the
//! module, and passes each record on to the Python logger of the same name. For libraries
//! that use the crate `tracing`, switch on its feature `log`.
//!
//! Trap: `pyo3-log` caches the levels of Python's loggers. If Python changes a level
//! later, call `reset` on the handle that `install` returns.
//!
//! Trap: Each record that is not filtered out takes the GIL, on the worker that logs. Do
//! not log in a hot loop, or filter these records out in Rust.
//!
//! See also: `callback`.
//!
//! asyncio: asyncio.run

use std::time::Duration;

use pyo3::prelude::*;
use tokio::time::sleep;

use crate::runtime_at_exit::future_into_py;

/// Fetches a page, and logs what it does.
#[pyfunction]
fn fetch(py: Python<'_>, name: String) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async move {
        log::debug!(target: "fetch", "asking for {name}");
        sleep(Duration::from_millis(10)).await;
        log::warn!(target: "fetch", "{name} is stale");
        Ok(())
    })
}

#[pymodule]
mod log_and_trace_rs {
    use log::LevelFilter;
    use pyo3::prelude::*;
    use pyo3_log::{Caching, Logger};

    #[pymodule_export]
    use super::fetch;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let logger = Logger::new(module.py(), Caching::LoggersAndLevels)?;
        // An error means that the process has a logger already.
        let _ = logger.filter(LevelFilter::Debug).install();
        Ok(())
    }
}
