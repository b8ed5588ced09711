//! A pooled client in Rust as a Python class, shared by all tasks of the program.
//!
//! The class holds an `Arc` of the pool, and each call clones it. A semaphore limits the
//! connections. A call takes an idle connection or opens one, and puts it back after the
//! answer. `aclose` refuses further calls and closes the idle connections.
//!
//! Bounds: `size` connections, and lines of an answer up to 64 KiB. Waiting calls are
//! unbounded, and a call does not have its own timeout: use `asyncio.timeout`.
//!
//! Trap: A cancelled call must not put its connection back, as the answer is still on the
//! way. Here the dropped future drops the connection.
//!
//! Trap: A client that was used before a fork shares its sockets with the child. Create
//! the client in the child: with gunicorn in `post_fork`, not before `--preload` forks.
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
