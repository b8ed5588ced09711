//! Log from Rust into Python's `logging`: its levels, filters and handlers decide.
//!
//! Rust code logs with the macros of the crate `log`. The `Logger` of the crate
//! `pyo3-log` passes each record to the Python logger of the same name. Install this
//! `Logger` when Python imports the module, as `init` below does. For libraries that log
//! with the crate `tracing`, turn on the feature `log` of `tracing`.
//!
//! Trap: If Python changes the level of a logger later, Rust may not notice, because
//! `pyo3-log` caches the levels. `Logger::install` returns a handle. Keep the handle, and
//! call its method `reset` after each change.
//!
//! Trap: If you log in a hot loop, other tasks are delayed. Each record that is not
//! filtered out waits for the GIL, on a thread that runs tasks. Filter such records out
//! in Rust, with `Logger::filter`, as `init` does.
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
