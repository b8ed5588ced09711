//! Async drop: close a value with an await when it is dropped, from its destructor.
//!
//! A destructor cannot await. So `CloseOnDrop` below, a guard around your value, moves
//! the value to a task when it is dropped, and the task closes the value. The code that
//! dropped the guard continues, and sees no error of the close. To wait for the close and
//! get its error, call `CloseOnDrop::close`.
//!
//! `tokio::spawn` in a destructor panics outside a runtime, for example at the end of a
//! plain `main`: ask `Handle::try_current` first. `Handle::block_on` in a destructor
//! panics in async code. The `block_on` of the crate `futures` blocks the thread, and on
//! a runtime with one thread it may wait forever.
//!
//! Bounds: Each close takes at most `limit`. A close that takes longer is dropped
//! unfinished, and `CloseOnDrop::close` returns the error `CloseError::TimedOut`.
//!
//! Trap: If `main` ends while values are being closed, they are dropped half-closed.
//! Await `CloseTasks::wait` at the end of `main`.
//!
//! See also: `cleanup_on_cancel`, `exit_stack`, `graceful_shutdown`.
//!
//! asyncio: async with, __aexit__, asyncio.shield, asyncio.TaskGroup
//! differs: in asyncio the end of the block waits for the close

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// A value whose close has to await.
pub trait AsyncClose: Send + 'static {
    type Error: Send + 'static;

    fn close(self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Why a value was not closed. It has no `source`: an error of the close is in `Failed`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseError<E> {
    #[error("{0}")]
    Failed(E),
    #[error("the close timed out")]
    TimedOut,
    /// The close panicked, or the runtime was shut down.
    #[error("the close was lost")]
    Lost,
}

/// Closes values in tasks. Clones share the tasks.
#[derive(Clone, Debug)]
pub struct CloseTasks {
    tasks: TaskTracker,
    runtime: Handle,
    limit: Duration,
}

impl CloseTasks {
    /// Returns an empty set of tasks. A task that closes a value times out after `limit`.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn new(limit: Duration) -> Self {
        Self {
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            limit,
        }
    }

    /// Returns a guard that closes the value when it is dropped.
    pub fn guard<T: AsyncClose>(&self, value: T) -> CloseOnDrop<T> {
        CloseOnDrop {
            value: Some(value),
            _open: self.tasks.token(),
            close_tasks: self.clone(),
        }
    }

    /// Waits until all guards are dropped and all values are closed. Call it at the end
    /// of the program. Called by a task that holds a guard, it never returns.
    pub async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn spawn<T: AsyncClose>(
        &self,
        value: T,
    ) -> JoinHandle<Result<(), CloseError<T::Error>>> {
        let limit = self.limit;
        let close = async move {
            let closed = timeout(limit, value.close()).await;
            let closed = closed.map_err(|_| CloseError::TimedOut)?;
            closed.map_err(CloseError::Failed)
        };
        // A destructor may run on a thread without a runtime.
        self.tasks.spawn_on(close, &self.runtime)
    }
}

/// A value that is closed when it is dropped.
#[derive(Debug)]
pub struct CloseOnDrop<T: AsyncClose> {
    value: Option<T>,
    close_tasks: CloseTasks,
    /// Dropped last, when the closing task is already counted.
    _open: TaskTrackerToken,
}

impl<T: AsyncClose> CloseOnDrop<T> {
    /// Closes the value, and waits for the close. Dropping the future ends only the wait.
    ///
    /// # Errors
    ///
    /// A [`CloseError`].
    pub async fn close(mut self) -> Result<(), CloseError<T::Error>> {
        let value = self.value.take().ok_or(CloseError::Lost)?;
        let closed = self.close_tasks.spawn(value);
        closed.await.unwrap_or(Err(CloseError::Lost))
    }
}

impl<T: AsyncClose> Drop for CloseOnDrop<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            drop(self.close_tasks.spawn(value));
        }
    }
}

impl<T: AsyncClose> Deref for CloseOnDrop<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("only the end takes it")
    }
}

impl<T: AsyncClose> DerefMut for CloseOnDrop<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("only the end takes it")
    }
}

impl AsyncClose for tokio::io::BufWriter<tokio::fs::File> {
    type Error = std::io::Error;

    async fn close(mut self) -> std::io::Result<()> {
        tokio::io::AsyncWriteExt::flush(&mut self).await
    }
}

/// Writes to a buffer that is flushed as it is dropped: `cargo run -- log.txt hello`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let (Some(path), Some(text)) = (args.next(), args.next()) else {
        return Err("usage: FILE TEXT".into());
    };
    let close_tasks = CloseTasks::new(Duration::from_secs(5));
    let file = tokio::fs::File::create(&path).await?;
    let mut file = close_tasks.guard(tokio::io::BufWriter::new(file));
    tokio::io::AsyncWriteExt::write_all(&mut *file, text.as_bytes()).await?;
    drop(file);
    close_tasks.wait().await;
    println!("{path}: {}", tokio::fs::read_to_string(&path).await?);
    Ok(())
}

//@ try: log.txt hello -> log.txt: hello
