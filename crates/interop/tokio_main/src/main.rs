//! Keep a part in Python: a Tokio program that awaits coroutines.
//!
//! CPython is embedded, and its event loop has its own thread. `asyncio.run` keeps the
//! loop running there, as `serve` waits for an event. `call` schedules a coroutine on
//! that loop and awaits its result as a future.
//!
//! Before `main` returns, call `end`. It stops the loop, and `asyncio.run` cancels the
//! tasks that are left. Then it calls the functions that Python has registered with
//! `atexit`, and flushes Python's standard output. Rust does not finalize the
//! interpreter, so without `end` none of this happens.
//!
//! Bounds: Unbounded: each call is a task of asyncio.
//!
//! Trap: Without `end`, the lines of Python that are still in its buffer are lost. In a
//! terminal you do not see it, as lines are flushed there.
//!
//! Trap: A timeout in Rust leaves the coroutine running. Put the limit into Python, as
//! `price` does.
//!
//! Platforms: The program needs CPython's shared library to build and to run
//! (`libpython3-dev` on Debian). Tried on Linux only.
//!
//! See also: `call_python`, `runtime_at_exit`.
//!
//! asyncio: asyncio.run, loop.call_soon_threadsafe, asyncio.run_coroutine_threadsafe

use std::ffi::CString;
use std::sync::Mutex;
use std::thread;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyCFunction;
use pyo3_async_runtimes::{TaskLocals, into_future_with_locals};
use tokio::sync::oneshot;

fn failed(error: impl ToString) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

/// An event loop of asyncio on its own thread.
struct EventLoop {
    locals: TaskLocals,
    stop: Py<PyAny>,
    thread: thread::JoinHandle<PyResult<()>>,
}

impl EventLoop {
    /// Runs `module.serve`, and waits until it has started.
    async fn start(module: &Py<PyModule>) -> PyResult<Self> {
        let module = Python::attach(|py| module.clone_ref(py));
        let (sender, receiver) = oneshot::channel();
        let sender = Mutex::new(Some(sender));
        let run = move |py: Python<'_>| {
            let started = PyCFunction::new_closure(py, None, None, move |args, _| {
                let locals = TaskLocals::with_running_loop(args.py())?;
                let stop = args.get_item(0)?.unbind();
                let sender = sender.lock().map_err(failed)?.take();
                sender.map(|sender| sender.send((locals, stop)));
                PyResult::Ok(())
            })?;
            let serving = module.bind(py).call_method1("serve", (started,))?;
            py.import("asyncio")?.call_method1("run", (serving,))?;
            Ok(())
        };
        let thread = thread::spawn(|| Python::attach(run));
        match receiver.await {
            Ok((locals, stop)) => Ok(Self {
                locals,
                stop,
                thread,
            }),
            Err(_) => match thread.join() {
                Ok(Err(error)) => Err(error),
                _ => Err(failed("`serve` has ended")),
            },
        }
    }

    /// Calls the function and awaits its coroutine.
    async fn call(&self, function: &Py<PyAny>, item: &str) -> PyResult<usize> {
        let future = Python::attach(|py| {
            into_future_with_locals(&self.locals, function.bind(py).call1((item,))?)
        })?;
        let value = future.await?;
        Python::attach(|py| value.extract(py))
    }

    /// Stops the event loop and waits for its thread. Then ends Python as its exit would.
    fn end(self) -> PyResult<()> {
        Python::attach(|py| {
            let event_loop = self.locals.event_loop(py);
            let set = self.stop.bind(py).getattr("set")?;
            let called = event_loop.call_method1("call_soon_threadsafe", (set,));
            called.map(drop)
        })?;
        // Not attached: the thread needs the GIL to end.
        let ended = self.thread.join();
        ended.map_err(|_| failed("the event loop's thread has panicked"))??;
        Python::attach(|py| {
            py.import("atexit")?.call_method0("_run_exitfuncs")?;
            let stdout = py.import("sys")?.getattr("stdout")?;
            stdout.call_method0("flush").map(drop)
        })
    }
}

#[tokio::main]
async fn main() -> PyResult<()> {
    Python::initialize();
    let service = CString::new(include_str!("service.py"))?;
    let (module, price) = Python::attach(|py| {
        let module = PyModule::from_code(py, &service, c"service.py", c"service")?;
        let price = module.getattr("price")?.unbind();
        PyResult::Ok((module.unbind(), price))
    })?;
    let event_loop = EventLoop::start(&module).await?;
    let (tea, slow, coffee) = tokio::join!(
        event_loop.call(&price, "tea"),
        event_loop.call(&price, "slow"),
        event_loop.call(&price, "coffee"),
    );
    for (item, price) in [("tea", tea), ("slow", slow), ("coffee", coffee)] {
        match price {
            Ok(price) => println!("{item}: {price}"),
            Err(error) => println!("{error}"),
        }
    }
    event_loop.end()
}
