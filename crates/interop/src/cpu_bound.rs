//! Compute in Rust next to the event loop: on a thread, without the GIL.
//!
//! `tokio::task::spawn_blocking` runs the computation on a thread of Tokio, without the
//! GIL, so the event loop and all threads of Python keep running. A plain function that
//! computes in `py.detach` (which releases the GIL) does the same when Python calls it
//! with `asyncio.to_thread`. In pure Python, threads share one GIL. Processes do not, but
//! their arguments and results are pickled.
//!
//! Bounds: At most 512 computations run at the same time; further ones wait. If there may
//! be more computations than cores, limit them with a semaphore.
//!
//! Trap: If your Rust function computes while it holds the GIL, the event loop stands
//! still, even when the function runs in `asyncio.to_thread`. In 300 ms the loop did not
//! run once. Wrap the computation in `py.detach`.
//!
//! Trap: If you cancel the await, the computation keeps running. It also delays the exit
//! of the program, by at most 2 s. If the computation must stop earlier, let it check a
//! flag, as in the example `timeout_of_blocking_work`.
//!
//! See also: `callback`, `runtime_at_exit`.
//!
//! asyncio: asyncio.to_thread, loop.run_in_executor

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::task::spawn_blocking;

use crate::runtime_at_exit::future_into_py;

/// Returns how many numbers below `end` are prime.
fn primes_below(end: u64) -> usize {
    let is_prime = |n: &u64| {
        !(2..)
            .take_while(|d| d * d <= *n)
            .any(|d| n.is_multiple_of(d))
    };
    (2..end).filter(is_prime).count()
}

/// Counts on a thread of Tokio.
#[pyfunction]
fn count_primes(py: Python<'_>, end: u64) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async move {
        spawn_blocking(move || primes_below(end))
            .await
            .map_err(|error| PyRuntimeError::new_err(error.to_string()))
    })
}

/// Counts on the calling thread, for `asyncio.to_thread`.
#[pyfunction]
fn count_primes_here(py: Python<'_>, end: u64) -> usize {
    py.detach(|| primes_below(end))
}

#[pymodule]
mod cpu_bound_rs {
    #[pymodule_export]
    use super::{count_primes, count_primes_here};
}
