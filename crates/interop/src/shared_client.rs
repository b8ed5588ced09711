//! A pooled client in Rust as a Python class, shared by all tasks of the program.
//!
//! `Client` below holds an `Arc` of a pool of connections, and each call clones the
//! `Arc`. A semaphore limits the number of connections. A call takes an idle connection
//! or opens a new one, and puts the connection back after the answer. `aclose` closes the
//! idle connections, and further calls raise an exception.
//!
//! Bounds: At most `size` connections are open; above that, a call waits. A line of an
//! answer has at most 64 KiB; a longer one is an error. Unbounded: The number of waiting
//! calls, and the time of a call. Put an `asyncio.timeout` around the call.
//!
//! Trap: If a cancelled call puts its connection back, the next call reads the answer to
//! the cancelled one. In this file a cancelled call drops its connection, which closes
//! it.
//!
//! Trap: If you use a client and then fork, parent and child share its sockets, and read
//! each other's answers. Create the client in the child: with gunicorn in the hook
//! `post_fork`, not in a module that `--preload` loads before the fork.
//!
//! See also: `cancel`, `runtime_at_exit`.
//!
//! asyncio: asyncio.open_connection, asyncio.Semaphore, asyncio.timeout

use std::num::NonZero;
use std::sync::Arc;

use pyo3::exceptions::{PyConnectionError, PyRuntimeError};
use pyo3::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore};

use crate::runtime_at_exit::future_into_py;

const LONGEST_LINE: u64 = 64 * 1024;

struct Pool {
    address: (String, u16),
    permits: Semaphore,
    idle: Mutex<Vec<BufReader<TcpStream>>>,
}

impl Pool {
    async fn ask(&self, line: &str) -> PyResult<String> {
        let permit = self.permits.acquire().await;
        let _permit = permit.map_err(|_| PyRuntimeError::new_err("client is closed"))?;
        let idle = self.idle.lock().await.pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => BufReader::new(TcpStream::connect(&self.address).await?),
        };
        connection.write_all(format!("{line}\n").as_bytes()).await?;
        let mut answer = String::new();
        let mut limited = (&mut connection).take(LONGEST_LINE);
        limited.read_line(&mut answer).await?;
        if !answer.ends_with('\n') {
            return Err(PyConnectionError::new_err("no whole line"));
        }
        let mut idle = self.idle.lock().await;
        if !self.permits.is_closed() {
            idle.push(connection);
        }
        Ok(answer.trim_end().to_owned())
    }
}

#[pyclass(frozen)]
struct Client {
    pool: Arc<Pool>,
}

#[pymethods]
impl Client {
    #[new]
    fn new(host: String, port: u16, size: NonZero<u16>) -> Self {
        let pool = Arc::new(Pool {
            address: (host, port),
            permits: Semaphore::new(size.get().into()),
            idle: Mutex::default(),
        });
        Self { pool }
    }

    /// Sends a line, and returns the line of the answer.
    fn ask<'py>(&self, py: Python<'py>, line: String) -> PyResult<Bound<'py, PyAny>> {
        let pool = self.pool.clone();
        future_into_py(py, async move { pool.ask(&line).await })
    }

    /// Closes the idle connections; those in use are closed after their answer.
    fn aclose<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let pool = self.pool.clone();
        future_into_py(py, async move {
            let mut idle = pool.idle.lock().await;
            pool.permits.close();
            idle.clear();
            Ok(())
        })
    }
}

#[pymodule]
mod shared_client_rs {
    #[pymodule_export]
    use super::Client;
}
