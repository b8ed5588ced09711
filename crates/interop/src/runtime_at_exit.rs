//! End Tokio before the Python interpreter ends, so that no program crashes at its exit.
//!
//! The crate `pyo3-async-runtimes` hands each result to asyncio on a thread of Tokio. If
//! CPython ends while such a thread wants the GIL, the process may die with SIGSEGV or
//! SIGABRT, even though its output was right. So this file registers a function with
//! Python's `atexit`. The function shuts Tokio's runtime down and waits for its threads.
//!
//! Paste this file next to your module. Take `future_into_py` and `handle` from it, not
//! from `pyo3_async_runtimes::tokio`. After a fork, the child process gets its own
//! runtime.
//!
//! Bounds: The exit waits at most 2 s for threads of Tokio. To hand a result to asyncio,
//! Tokio needs one of its at most 512 threads for blocking work, for a moment. If all are
//! busy, the result waits.
//!
//! Trap: If you leave out `atexit.register`, programs sometimes crash at their exit, with
//! the exit code 139 or 134. Of 80 runs of four programs of this section, 13 crashed. A
//! test that compares only the output does not notice this. Let your tests check the exit
//! code, too.
//!
//! Trap: If you do not await the future that a Rust call returns, the call may end after
//! the event loop. Then standard error shows "RuntimeError: Event loop is closed"
//! (pyo3-async-runtimes, issue 90). Await each future before `asyncio.run` returns.
//!
//! Platforms: Tried on Linux only.
//!
//! See also: `async_function`, `shutdown`.
//!
//! asyncio: asyncio.run, asyncio.gather

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{mem, process};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::generic::{self, ContextExt};
use tokio::runtime::{Handle, Runtime};
use tokio::task::{JoinError, JoinHandle};

const LONGEST_EXIT: Duration = Duration::from_secs(2);

enum State {
    NotStarted,
    /// The process that has started it, and the runtime.
    Running(u32, Runtime),
    Ended,
}

static STATE: Mutex<State> = Mutex::new(State::NotStarted);

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a handle of the runtime, to spawn tasks on. The first call starts the runtime.
///
/// Fails when the interpreter is ending.
pub fn handle(py: Python<'_>) -> PyResult<Handle> {
    let mut state = state();
    match &*state {
        State::Running(owner, runtime) if *owner == process::id() => {
            return Ok(runtime.handle().clone());
        }
        State::Ended => return Err(PyRuntimeError::new_err("the interpreter is ending")),
        State::NotStarted | State::Running(..) => {}
    }
    let runtime = Runtime::new()?;
    let handle = runtime.handle().clone();
    let old = mem::replace(&mut *state, State::Running(process::id(), runtime));
    // After a fork, a drop of the parent's runtime would wait for threads that are gone.
    mem::forget(old);
    drop(state);
    let end = PyCFunction::new_closure(py, None, None, |args, _| end(args.py()))?;
    py.import("atexit")?.call_method1("register", (end,))?;
    Ok(handle)
}

/// Waits, without the GIL, until no thread of the runtime can want it.
fn end(py: Python<'_>) {
    py.detach(|| match mem::replace(&mut *state(), State::Ended) {
        State::Running(owner, runtime) if owner == process::id() => {
            runtime.shutdown_timeout(LONGEST_EXIT);
        }
        other => mem::forget(other),
    });
}

/// Starts the future and returns an `asyncio.Future` for its result. Cancelling that
/// drops the Rust future.
pub fn future_into_py<F, T>(py: Python<'_>, future: F) -> PyResult<Bound<'_, PyAny>>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'py> IntoPyObject<'py> + Send + 'static,
{
    let handle = handle(py)?;
    let _entered = handle.enter();
    generic::future_into_py::<Entered, _, _>(py, future)
}

/// Spawns on the runtime that the thread has entered.
struct Entered;

impl generic::Runtime for Entered {
    type JoinError = JoinError;
    type JoinHandle = JoinHandle<()>;

    fn spawn<F>(future: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(future)
    }

    fn spawn_blocking<F>(function: F) -> JoinHandle<()>
    where
        F: FnOnce() + Send + 'static,
    {
        tokio::task::spawn_blocking(function)
    }
}

tokio::task_local! {
    /// The event loop and the context variables of the caller.
    static LOCALS: TaskLocals;
}

impl ContextExt for Entered {
    fn scope<F, R>(
        locals: TaskLocals,
        future: F,
    ) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(LOCALS.scope(locals, future))
    }

    fn get_task_locals() -> Option<TaskLocals> {
        LOCALS.try_with(TaskLocals::clone).ok()
    }
}

/// Returns the number after a pause.
#[pyfunction]
fn delayed(py: Python<'_>, number: u64, ms: u64) -> PyResult<Bound<'_, PyAny>> {
    future_into_py(py, async move {
        tokio::time::sleep(Duration::from_millis(ms)).await;
        Ok(number)
    })
}

#[pymodule]
mod runtime_at_exit_rs {
    #[pymodule_export]
    use super::delayed;
}
