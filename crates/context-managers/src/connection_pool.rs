//! A connection pool: at most N connections, which are reused and replaced when broken.
//!
//! `pool.acquire().await` takes the place of `async with pool.acquire()`. It returns a
//! guard of the connection: when you drop the guard, the connection returns to the pool,
//! even if the task fails, panics or is cancelled. The example `simple_pool` is the plain
//! form. If `acquire` times out under load, look for callers that keep a connection while
//! they wait for something else, or for a second connection.
//!
//! The callers are served in the order in which they came. The last of a hundred callers
//! on ten connections waits for ten uses of a connection. So make each use short; a
//! larger pool moves the wait to the database.
//!
//! Bounds: At most `max_size` connections are open. When all are in use, `acquire` waits
//! at most `acquire_timeout` and then returns an error. Put a `timeout` into your
//! function `connect`: a call that hangs takes the place of a connection forever.
//! Unbounded: The age of idle connections; test it in your function `has_broken`.
//!
//! Trap: If a task is cancelled during a query, its connection returns to the pool with
//! the answer still on the way. The next user would read that answer as its own. Let your
//! `has_broken` return true for such a connection, for example by a flag that you set
//! during each request, as in `main`. The pool calls `has_broken` when a connection comes
//! back, and again before it is reused. The pool closes a broken connection.
//!
//! In production: The crate `deadpool` awaits a function `recycle` before each reuse,
//! which can send a query to the server; `has_broken` cannot await. `deadpool` can also
//! close idle connections, and reports how many are open.
//!
//! See also: `pg_pool`, `simple_pool`, `semaphore_pool`, `transaction`, `choose_a_crate`.
//!
//! asyncio: async with, contextlib.asynccontextmanager, asyncio.Semaphore

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::iter;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

type BoxError = Box<dyn Error + Send + Sync>;

/// Opens connections when they are needed, and reuses them. Clones are the same pool.
pub struct Pool<C>(Arc<Shared<C>>);

struct Shared<C> {
    acquire_timeout: Duration,
    connect: Box<dyn Fn() -> BoxFuture<'static, Result<C, BoxError>> + Send + Sync>,
    has_broken: Box<dyn Fn(&C) -> bool + Send + Sync>,
    permits: Arc<Semaphore>,
    /// Counts the callers that hold a connection, open one or wait for a permit.
    users: TaskTracker,
    /// `None` after `close`: then a connection that comes back is dropped.
    idle: Mutex<Option<Vec<C>>>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    #[error("no connection in time")]
    TimedOut,
    /// Also for callers that waited when the pool was closed.
    #[error("the pool is closed")]
    Closed,
    #[error("cannot connect")]
    Connect(#[source] BoxError),
}

impl<C: Send + 'static> Pool<C> {
    /// Returns a pool for `max_size` connections. It opens none yet.
    ///
    /// `connect` opens a connection; dropping a connection closes it. `has_broken` says
    /// whether a connection must not be reused. It must not block, and a panic counts as
    /// broken. `new` panics if `max_size` is 0 or more than a semaphore counts.
    pub fn new<Fut>(
        max_size: usize,
        acquire_timeout: Duration,
        connect: impl Fn() -> Fut + Send + Sync + 'static,
        has_broken: impl Fn(&C) -> bool + Send + Sync + 'static,
    ) -> Self
    where
        Fut: Future<Output = Result<C, BoxError>> + Send + 'static,
    {
        assert!(max_size > 0, "a pool needs a connection");
        Self(Arc::new(Shared {
            acquire_timeout,
            connect: Box::new(move || connect().boxed()),
            has_broken: Box::new(has_broken),
            permits: Arc::new(Semaphore::new(max_size)),
            users: TaskTracker::new(),
            idle: Mutex::new(Some(Vec::new())),
        }))
    }

    /// Returns the idle connection that was used last, or else opens one. Waiters are
    /// served first come, first served.
    ///
    /// If the call times out during `connect`, the connection goes to the next caller. A
    /// panic of `connect` continues here.
    ///
    /// Cancel-safe: a waiter that is dropped leaves the queue. If a `select!` pauses a
    /// waiter without dropping it, the waiter blocks the queue and `close`
    /// (`futurelock`). A task that holds a connection and acquires another may wait for
    /// itself.
    pub async fn acquire(&self) -> Result<Pooled<C>, PoolError> {
        let acquired = timeout(self.0.acquire_timeout, self.wait_or_connect());
        acquired.await.unwrap_or(Err(PoolError::TimedOut))
    }

    async fn wait_or_connect(&self) -> Result<Pooled<C>, PoolError> {
        let shared = Arc::clone(&self.0);
        // Before the permit, so that `close` waits for every caller that has one.
        let _user = shared.users.token();
        let permit = Arc::clone(&shared.permits).acquire_owned().await;
        let _permit = permit.map_err(|_| PoolError::Closed)?;
        let mut pooled = Pooled {
            connection: shared.take_idle(),
            shared,
            _permit,
            _user,
        };
        if pooled.connection.is_some() {
            return Ok(pooled);
        }
        // In a task: if this caller times out, the task's output is dropped, and so the
        // connection goes back to the pool.
        let connecting = tokio::spawn(async move {
            let connected = (pooled.shared.connect)().await;
            pooled.connection = Some(connected.map_err(PoolError::Connect)?);
            Ok(pooled)
        });
        match connecting.await.map_err(JoinError::try_into_panic) {
            // The pool was closed during `connect`, or the runtime is being shut down.
            Ok(Ok(_)) if self.0.permits.is_closed() => Err(PoolError::Closed),
            Err(Err(_)) => Err(PoolError::Closed),
            Err(Ok(panic)) => resume_unwind(panic),
            Ok(connected) => connected,
        }
    }

    /// Closes the pool, waits until all connections are back, and returns those that are
    /// not broken, for a last message.
    ///
    /// Called by a task that holds a connection, it never returns. Dropping the future
    /// leaves the pool closed, and drops the idle connections and those that come back.
    pub async fn close(&self) -> Vec<C> {
        let closing = Closing(&self.0);
        self.0.permits.close();
        self.0.users.close();
        self.0.users.wait().await;
        let mut connections = closing.take_all();
        connections.retain(|connection| !self.0.is_broken(connection));
        connections
    }
}

impl<C> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C> fmt::Debug for Pool<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pool")
    }
}

/// A running [`Pool::close`].
struct Closing<'a, C>(&'a Shared<C>);

impl<C> Closing<'_, C> {
    fn take_all(&self) -> Vec<C> {
        self.0.lock().take().unwrap_or_default()
    }
}

impl<C> Drop for Closing<'_, C> {
    fn drop(&mut self) {
        drop(self.take_all());
    }
}

impl<C> Shared<C> {
    fn lock(&self) -> MutexGuard<'_, Option<Vec<C>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self) -> Option<C> {
        // `has_broken` is called after the lock is released.
        iter::from_fn(|| self.lock().as_mut()?.pop()).find(|idle| !self.is_broken(idle))
    }

    /// Returns `true` after a panic: a second panic in a destructor aborts the program.
    fn is_broken(&self, connection: &C) -> bool {
        catch_unwind(AssertUnwindSafe(|| (self.has_broken)(connection))).unwrap_or(true)
    }
}

/// A connection in use. Dropping it, on any thread, returns it to its pool.
#[must_use = "a connection without a name is returned immediately"]
pub struct Pooled<C> {
    /// `None` while it is opened.
    connection: Option<C>,
    shared: Arc<Shared<C>>,
    // Dropped in this order, after `drop`: so the next waiter finds the connection.
    _permit: OwnedSemaphorePermit,
    _user: TaskTrackerToken,
}

impl<C> fmt::Debug for Pooled<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pooled")
    }
}

impl<C> Deref for Pooled<C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.connection.as_ref().expect("only `drop` takes it")
    }
}

impl<C> DerefMut for Pooled<C> {
    fn deref_mut(&mut self) -> &mut C {
        self.connection.as_mut().expect("only `drop` takes it")
    }
}

impl<C> Drop for Pooled<C> {
    fn drop(&mut self) {
        let connection = self.connection.take();
        let reusable = connection.filter(|connection| !self.shared.is_broken(connection));
        if let Some(idle) = &mut *self.shared.lock() {
            idle.extend(reusable);
        }
    }
}

/// Sends a ping to a Redis server: `cargo run -- localhost:6379`.
#[tokio::main]
async fn main() -> Result<(), BoxError> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    struct Connection {
        stream: tokio::net::TcpStream,
        in_request: bool,
    }

    async fn connect(address: String) -> Result<Connection, BoxError> {
        let connecting = tokio::net::TcpStream::connect(address);
        let stream = timeout(Duration::from_secs(2), connecting).await??;
        let in_request = false;
        Ok(Connection { stream, in_request })
    }

    fn has_broken(connection: &Connection) -> bool {
        // Between two requests there is nothing to read, not even the end of the stream.
        let read = connection.stream.try_read(&mut [0]);
        let is_idle = read.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
        connection.in_request || !is_idle
    }

    let address = std::env::args().nth(1).ok_or("usage: HOST:PORT")?;
    let connect = move || connect(address.clone());
    let pool = Pool::new(10, Duration::from_secs(5), connect, has_broken);
    let mut connection = pool.acquire().await?;
    connection.in_request = true;
    connection.stream.write_all(b"PING\r\n").await?;
    let mut answer = [0; 7];
    connection.stream.read_exact(&mut answer).await?;
    connection.in_request = false;
    println!("{}", answer.escape_ascii());
    Ok(())
}

//@ try: 127.0.0.1:1 -> ConnectionRefused
