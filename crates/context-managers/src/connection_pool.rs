//! A connection pool: at most N connections, which are reused and replaced when broken.
//!
//! `pool.acquire().await` is `async with pool.acquire()`: the connection goes back to the
//! pool when it is dropped, also if its task fails, panics or is cancelled. The compiler
//! refuses to use it afterwards ("borrow of moved value: `connection`").
//!
//! Bounds: `max_size` connections; `acquire_timeout` and `connect_timeout` limit the
//! waits. Idle connections stay open without a limit of time.
//!
//! Trap: a task that is cancelled during a query returns its connection with the answer
//! still on the way. The next user would read that answer as its own. So the pool calls
//! `has_broken` when a connection comes back, and again before it is reused.
//!
//! In production: `deadpool` calls an async `recycle` before each reuse, which can send a
//! query. This pool cannot, so it may hand out a connection that the server has closed.
//!
//! See also: `semaphore_pool`, `transaction`, `choose_a_crate`.
//!
//! asyncio: async with, contextlib.asynccontextmanager, asyncio.Semaphore
//! try: 127.0.0.1:1 -> ConnectionRefused

use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Opens the connections of a [`Pool`].
pub trait Manager: Send + Sync + 'static {
    /// What the pool holds. Dropping a connection closes it.
    type Connection: Send + 'static;
    /// Why a connection could not be opened.
    type Error: Send + 'static;

    /// Opens a connection. Dropped after `connect_timeout`.
    fn connect(
        &self,
    ) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// Returns whether a connection must not be used again. Must not block; a panic
    /// counts as broken.
    fn has_broken(&self, connection: &Self::Connection) -> bool;
}

/// The limits of a [`Pool`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// How many connections there are at most.
    pub max_size: usize,
    /// How long `acquire` waits for a connection.
    pub acquire_timeout: Duration,
    /// How long opening a connection may take. It may take longer than a caller waits:
    /// the next caller then finds the connection open.
    pub connect_timeout: Duration,
}

/// Opens connections when they are first needed, and reuses them. Clones share them.
pub struct Pool<M: Manager>(Arc<Shared<M>>);

struct Shared<M: Manager> {
    manager: M,
    limits: PoolLimits,
    permits: Arc<Semaphore>,
    /// Everybody who holds a connection, opens one or waits for a permit.
    users: TaskTracker,
    idle: Mutex<Vec<M::Connection>>,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError<E> {
    /// `acquire_timeout` or `connect_timeout` has elapsed.
    #[error("no connection in time")]
    TimedOut,
    /// The pool is closed.
    #[error("the pool is closed")]
    Closed,
    /// The error of the manager.
    #[error("cannot connect: {0}")]
    Connect(E),
}

impl<M: Manager> Pool<M> {
    /// Returns a pool, without a connection so far.
    ///
    /// # Panics
    ///
    /// If `max_size` is 0, or more than a semaphore counts.
    pub fn new(manager: M, limits: PoolLimits) -> Self {
        assert!(limits.max_size > 0, "a pool needs a connection");
        Self(Arc::new(Shared {
            manager,
            limits,
            permits: Arc::new(Semaphore::new(limits.max_size)),
            users: TaskTracker::new(),
            idle: Mutex::default(),
        }))
    }

    /// Returns the idle connection that was used last, or else opens one. Waiters are
    /// served first come, first served.
    ///
    /// Cancel-safe: dropped while it waits, it leaves the queue. Left in a `select!` and
    /// not polled, it holds up the queue and `close` (`futurelock`). A task that holds a
    /// connection and acquires another may wait for itself.
    ///
    /// # Errors
    ///
    /// [`PoolError::TimedOut`]; with an `acquire_timeout` of 0, if it had to wait.
    /// [`PoolError::Closed`] after [`close`](Self::close), at once also for waiters.
    /// [`PoolError::Connect`] with the manager's error; the next caller tries again.
    ///
    /// # Panics
    ///
    /// When the manager panics while it opens the connection.
    pub async fn acquire(&self) -> Result<Pooled<M>, PoolError<M::Error>> {
        let acquired = timeout(self.0.limits.acquire_timeout, self.wait_or_connect());
        acquired.await.unwrap_or(Err(PoolError::TimedOut))
    }

    async fn wait_or_connect(&self) -> Result<Pooled<M>, PoolError<M::Error>> {
        let shared = Arc::clone(&self.0);
        // Before the permit, so that `close` knows of everybody who has one.
        let _user = shared.users.token();
        let permit = Arc::clone(&shared.permits).acquire_owned().await;
        let _permit = permit.map_err(|_| PoolError::Closed)?;
        let mut pooled = Pooled {
            connection: shared.take_idle(),
            _permit,
            shared,
            _user,
        };
        if pooled.connection.is_some() {
            return Ok(pooled);
        }
        // In a task, so that a connection which is open too late for this caller is there
        // for the next: the output of a task that nobody awaits is dropped.
        let connecting = tokio::spawn(async move {
            let shared = &pooled.shared;
            let connecting = shared.manager.connect();
            let connected = timeout(shared.limits.connect_timeout, connecting).await;
            let connected = connected.map_err(|_| PoolError::TimedOut)?;
            pooled.connection = Some(connected.map_err(PoolError::Connect)?);
            Ok(pooled)
        });
        let pooled = connecting.await.unwrap_or_else(|error| {
            // Otherwise the runtime is being shut down.
            Err(error
                .try_into_panic()
                .map_or(PoolError::Closed, |panic| resume_unwind(panic)))
        })?;
        // It may have been closed meanwhile.
        match self.0.permits.is_closed() {
            true => Err(PoolError::Closed),
            false => Ok(pooled),
        }
    }

    /// Closes the pool, waits until all connections are back, and returns those that are
    /// not broken, for a last message.
    ///
    /// A task that holds a connection would wait for itself. Dropping the future leaves
    /// the pool closed. Call `close` again to wait on.
    pub async fn close(&self) -> Vec<M::Connection> {
        self.0.permits.close();
        self.0.users.close();
        self.0.users.wait().await;
        let mut connections = mem::take(&mut *self.0.lock());
        connections.retain(|connection| !self.0.has_broken(connection));
        connections
    }
}

impl<M: Manager> Clone for Pool<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Manager> fmt::Debug for Pool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = &self.0.limits;
        f.debug_tuple("Pool").field(limits).finish_non_exhaustive()
    }
}

impl<M: Manager> Shared<M> {
    fn lock(&self) -> MutexGuard<'_, Vec<M::Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self) -> Option<M::Connection> {
        loop {
            // The manager is asked when the lock is free again.
            let connection = self.lock().pop()?;
            if !self.has_broken(&connection) {
                return Some(connection);
            }
        }
    }

    /// A second panic in a destructor would abort the program.
    fn has_broken(&self, connection: &M::Connection) -> bool {
        let asked = AssertUnwindSafe(|| self.manager.has_broken(connection));
        catch_unwind(asked).unwrap_or(true)
    }
}

/// A connection in use. Dropping it, on whatever thread, returns it to its pool.
#[must_use = "a connection without a name is returned at once"]
pub struct Pooled<M: Manager> {
    /// `None` while it is opened.
    connection: Option<M::Connection>,
    shared: Arc<Shared<M>>,
    // Dropped in this order, after `drop`: the next waiter then finds the connection.
    _permit: OwnedSemaphorePermit,
    _user: TaskTrackerToken,
}

const HELD: &str = "only `drop` takes it away";

impl<M: Manager> Deref for Pooled<M> {
    type Target = M::Connection;

    fn deref(&self) -> &Self::Target {
        self.connection.as_ref().expect(HELD)
    }
}

impl<M: Manager> DerefMut for Pooled<M> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.connection.as_mut().expect(HELD)
    }
}

impl<M: Manager> Drop for Pooled<M> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && !self.shared.has_broken(&connection)
        {
            self.shared.lock().push(connection);
        }
    }
}

impl<M: Manager> fmt::Debug for Pooled<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pooled").finish_non_exhaustive()
    }
}

/// Sends pings to a Redis server: `cargo run -- localhost:6379`.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    struct Redis(String);

    struct Connection {
        stream: tokio::net::TcpStream,
        in_request: bool,
    }

    impl Manager for Redis {
        type Connection = Connection;
        type Error = std::io::Error;

        async fn connect(&self) -> std::io::Result<Connection> {
            let stream = tokio::net::TcpStream::connect(&self.0).await?;
            let in_request = false;
            Ok(Connection { stream, in_request })
        }

        fn has_broken(&self, connection: &Connection) -> bool {
            // Between two requests there is nothing to read, not even the end.
            let read = connection.stream.try_read(&mut [0]);
            let is_idle = read.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
            connection.in_request || !is_idle
        }
    }

    let address = std::env::args().nth(1).ok_or("usage: HOST:PORT")?;
    let limits = PoolLimits {
        max_size: 2,
        acquire_timeout: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(2),
    };
    let pool = Pool::new(Redis(address), limits);
    let ping = async || {
        let mut connection = pool.acquire().await?;
        connection.in_request = true;
        connection.stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 7];
        connection.stream.read_exact(&mut answer).await?;
        connection.in_request = false;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(answer == *b"+PONG\r\n")
    };
    println!("{:?}", tokio::try_join!(ping(), ping(), ping())?);
    Ok(())
}
