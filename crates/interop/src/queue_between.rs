//! Pass items between asyncio and a Tokio task by bounded queues, in both directions.
//!
//! `Squares` below is a Python class around a task of Tokio. Python awaits `put`, which
//! sends a number to the task, and reads the squares with `async for`. Both channels are
//! bounded: if Python reads slowly, the task waits, and then `put` waits. If a waiting
//! `put` is cancelled, it puts nothing.
//!
//! Bounds: `capacity` items wait in each direction, and the task holds one more. Above
//! that, `put` waits.
//!
//! Trap: If a Rust function calls `block_on` while it holds the GIL, and the awaited task
//! wants the GIL, both wait forever. Return a future instead, or wrap the wait in
//! `py.detach`, which releases the GIL.
//!
//! Trap: If the reader is cancelled just after `recv` in Rust has returned an item, the
//! item is lost. Read in a Python task that is never cancelled, and without a timeout.
//!
//! See also: `async_iterator`, `callback`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.put, asyncio.Queue.get

use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration};
use pyo3::prelude::*;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::runtime_at_exit::{future_into_py, handle};

/// Squares the numbers that are put in, one at a time.
#[pyclass(frozen)]
struct Squares {
    inbox: Mutex<Option<mpsc::Sender<u32>>>,
    outbox: Arc<tokio::sync::Mutex<mpsc::Receiver<u64>>>,
}

#[pymethods]
impl Squares {
    #[new]
    fn new(py: Python<'_>, capacity: NonZero<u16>) -> PyResult<Self> {
        let capacity = capacity.get().into();
        let (inbox, mut numbers) = mpsc::channel::<u32>(capacity);
        let (squares, outbox) = mpsc::channel(capacity);
        handle(py)?.spawn(async move {
            while let Some(number) = numbers.recv().await {
                sleep(Duration::from_millis(10)).await;
                if squares.send(u64::from(number).pow(2)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            inbox: Mutex::new(Some(inbox)),
            outbox: Arc::new(tokio::sync::Mutex::new(outbox)),
        })
    }

    /// Waits while the queue is full.
    fn put<'py>(&self, py: Python<'py>, number: u32) -> PyResult<Bound<'py, PyAny>> {
        let inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = || PyRuntimeError::new_err("closed");
        let inbox = inbox.clone().ok_or_else(closed)?;
        future_into_py(
            py,
            async move { inbox.send(number).await.map_err(|_| closed()) },
        )
    }

    /// Ends `async for` when the numbers in the queue are read.
    fn close(&self) {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        *inbox = None;
    }

    fn __aiter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let outbox = self.outbox.clone();
        future_into_py(py, async move {
            let square = outbox.lock().await.recv().await;
            square.ok_or_else(|| PyStopAsyncIteration::new_err(()))
        })
    }
}

#[pymodule]
mod queue_between_rs {
    #[pymodule_export]
    use super::Squares;
}
