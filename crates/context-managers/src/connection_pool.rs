//! A connection pool: at most n connections, reused, and opened again when one is broken.
//!
//! `async with pool.connection()` is `pool.acquire().await` here: what it returns is
//! given back when it is dropped, also by a holder that fails, panics or is aborted, and
//! cannot be used afterwards ("borrow of moved value: `connection`"). The trap: a holder
//! that is cancelled in the midst of a query gives back a connection that still waits for
//! an answer, which the next one would read as its own. So each connection is asked
//! whether it is broken before it is used again. An opening that fails costs no place.
//! The crate `deadpool` does more: limits for each step, hooks, another size later.
//!
//! asyncio: async with, contextlib.asynccontextmanager, asyncio.Semaphore
//! stderr: an answer that nobody understands

use std::error::Error;
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{error::Elapsed, sleep, timeout};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Opens the connections of a [`Pool`].
pub trait Manager: Send + Sync + 'static {
    /// What the pool holds. It is closed by dropping it.
    type Connection: Send + 'static;
    /// Why one could not be opened.
    type Error;

    /// Opens one. Dropped at any await when the time is up.
    fn open(&self) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// Whether this one, which somebody gave back, must not be used again.
    fn is_broken(&self, connection: &Self::Connection) -> bool;
}

/// At most so many connections at a time, opened when they are first needed and reused.
/// Clones share them.
pub struct Pool<M: Manager>(Arc<Shared<M>>);

struct Shared<M: Manager> {
    manager: M,
    patience: Duration,
    places: Arc<Semaphore>,
    /// Who holds a connection, opens one or waits for a place.
    users: TaskTracker,
    idle: Mutex<Vec<M::Connection>>,
}

/// Why there is no connection.
#[derive(Debug, PartialEq, Eq)]
pub enum PoolError<E> {
    /// No place was free, or the opening not over, in time.
    TimedOut,
    /// The pool is closed.
    Closed,
    /// It could not be opened.
    Open(E),
}

impl<E> fmt::Display for PoolError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PoolError::TimedOut => "no connection in time",
            PoolError::Closed => "the pool is closed",
            PoolError::Open(_) => "a connection cannot be opened",
        })
    }
}

impl<E: Error + 'static> Error for PoolError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            PoolError::Open(error) => Some(error),
            PoolError::TimedOut | PoolError::Closed => None,
        }
    }
}

impl<E> From<Elapsed> for PoolError<E> {
    fn from(_: Elapsed) -> Self {
        PoolError::TimedOut
    }
}

impl<E> From<AcquireError> for PoolError<E> {
    fn from(_: AcquireError) -> Self {
        PoolError::Closed
    }
}

impl<M: Manager> Pool<M> {
    /// A pool of at most `size` connections, without one yet. `patience` is how long
    /// [`acquire`](Self::acquire) may take, waiting and opening together.
    ///
    /// # Panics
    ///
    /// If `size` is 0, or more than a semaphore counts.
    pub fn new(manager: M, size: usize, patience: Duration) -> Self {
        assert!(size > 0, "nobody would ever get a connection");
        Self(Arc::new(Shared {
            manager,
            patience,
            places: Arc::new(Semaphore::new(size)),
            users: TaskTracker::new(),
            idle: Mutex::default(),
        }))
    }

    /// Takes the idle connection that came back last, or else opens one, as soon as fewer
    /// than `size` are in use. Who waits is served in the order of asking.
    ///
    /// Cancel-safe: dropped while it waits or opens, it leaves its place to the next. Who
    /// holds one and asks for another may wait for itself.
    ///
    /// # Errors
    ///
    /// [`PoolError::TimedOut`] when patience is at an end; with a patience of 0, when it
    /// would have to wait at all. [`PoolError::Closed`] after [`close`](Self::close), at
    /// once also for those who wait. [`PoolError::Open`] with the manager's error; the
    /// place is free for the next try.
    pub async fn acquire(&self) -> Result<Pooled<M>, PoolError<M::Error>> {
        let shared = &self.0;
        // Before it has a place, so that `close` knows of everybody who has one.
        let user = shared.users.token();
        let (connection, place) = match shared.take_at_once() {
            Some(both) => both,
            None => timeout(shared.patience, shared.wait_or_open()).await??,
        };
        let pooled = Pooled {
            connection: Some(connection),
            shared: Arc::clone(shared),
            _place: place,
            _user: user,
        };
        // It may have been closed during the opening.
        if shared.places.is_closed() {
            return Err(PoolError::Closed);
        }
        Ok(pooled)
    }

    /// Lets nobody have a connection any more, waits until all are given back, and
    /// returns those that are not broken, for a last word.
    ///
    /// A holder must not call it, as it would wait for itself. Dropped while it waits, it
    /// has closed the pool all the same; call it again to go on waiting.
    pub async fn close(&self) -> Vec<M::Connection> {
        self.0.places.close();
        self.0.users.close();
        self.0.users.wait().await;
        let mut connections = mem::take(&mut *self.0.lock());
        connections.retain(|connection| !self.0.manager.is_broken(connection));
        connections
    }
}

impl<M: Manager> Clone for Pool<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M: Manager> Shared<M> {
    fn lock(&self) -> MutexGuard<'_, Vec<M::Connection>> {
        // The list is whole between any two of its calls, so a panic elsewhere spoils
        // nothing.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place and an idle connection, if both are there: most calls need no timer.
    fn take_at_once(&self) -> Option<(M::Connection, OwnedSemaphorePermit)> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        Some((self.take_idle()?, place))
    }

    async fn wait_or_open(
        &self,
    ) -> Result<(M::Connection, OwnedSemaphorePermit), PoolError<M::Error>> {
        let place = Arc::clone(&self.places).acquire_owned().await?;
        let connection = match self.take_idle() {
            Some(connection) => connection,
            None => self.manager.open().await.map_err(PoolError::Open)?,
        };
        Ok((connection, place))
    }

    fn take_idle(&self) -> Option<M::Connection> {
        loop {
            // The manager is asked when the lock is free again.
            let connection = self.lock().pop()?;
            if !self.manager.is_broken(&connection) {
                return Some(connection);
            }
        }
    }
}

/// A connection in use. It goes back into its pool when this is dropped, wherever that
/// is, and keeps what the pool needs until then.
#[must_use = "without a name it is given back at once"]
pub struct Pooled<M: Manager> {
    connection: Option<M::Connection>,
    shared: Arc<Shared<M>>,
    // Given back in this order, after `drop`: who gets the place finds the connection.
    _place: OwnedSemaphorePermit,
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
        self.shared.lock().extend(self.connection.take());
    }
}

/// Stands for a database, which numbers its connections and refuses one of them.
struct Database {
    opened: AtomicU32,
    refuses: u32,
}

struct Connection {
    number: u32,
    awaits_answer: bool,
}

impl Connection {
    /// Dropped before the answer is read, it leaves a connection that is broken.
    async fn query(&mut self, text: &str, millis: u64) {
        self.awaits_answer = true;
        sleep(Duration::from_millis(millis)).await;
        assert!(text != "odd", "an answer that nobody understands");
        self.awaits_answer = false;
    }
}

#[derive(Debug)]
struct Refused(u32);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} is refused", self.0)
    }
}

impl Error for Refused {}

impl Manager for Database {
    type Connection = Connection;
    type Error = Refused;

    async fn open(&self) -> Result<Connection, Refused> {
        let number = 1 + self.opened.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(100)).await;
        if number == self.refuses {
            return Err(Refused(number));
        }
        Ok(Connection {
            number,
            awaits_answer: false,
        })
    }

    fn is_broken(&self, connection: &Connection) -> bool {
        connection.awaits_answer
    }
}

/// A pool of so many connections to a database that refuses this one.
fn connect(size: usize, refuses: u32) -> Pool<Database> {
    let opened = AtomicU32::new(0);
    let database = Database { opened, refuses };
    Pool::new(database, size, Duration::from_millis(400))
}

/// A query, and how many milliseconds its answer takes.
type Query = (&'static str, u64);

/// Makes the queries with one connection, with a pause of 0.1 s after each.
async fn work(pool: Pool<Database>, name: &str, queries: &[Query]) {
    let mut connection = match pool.acquire().await {
        Ok(connection) => connection,
        Err(error) => {
            return match error.source() {
                Some(source) => println!("{name}: {error}: {source}"),
                None => println!("{name}: {error}"),
            };
        }
    };
    println!("{name} has connection {}", connection.number);
    for (text, millis) in queries {
        connection.query(text, *millis).await;
        sleep(Duration::from_millis(100)).await;
    }
    println!("{name} gives {} back", connection.number);
}

/// Starts each worker so many milliseconds after the one before, and waits until all have
/// ended.
async fn work_all(
    pool: &Pool<Database>,
    workers: &[(&'static str, u64, &'static [Query])],
) {
    let mut tasks = JoinSet::new();
    for (name, wait, queries) in workers {
        sleep(Duration::from_millis(*wait)).await;
        tasks.spawn(work(pool.clone(), name, queries));
    }
    tasks.join_all().await;
}

/// A worker that is aborted after some milliseconds.
async fn abort(
    pool: &Pool<Database>,
    name: &'static str,
    queries: &'static [Query],
    millis: u64,
) {
    let task = tokio::spawn(work(pool.clone(), name, queries));
    sleep(Duration::from_millis(millis)).await;
    task.abort();
    if task.await.is_err_and(|error| error.is_cancelled()) {
        println!("{name} is aborted");
    }
}

pub async fn run() {
    println!("Five workers, three connections:");
    let pool = connect(3, 0);
    let query: &[Query] = &[("a", 300)];
    let workers = ["W1", "W2", "W3", "W4", "W5"].map(|name| (name, 50, query));
    work_all(&pool, &workers).await;

    println!("Nobody waits for longer than 0.4 s:");
    let long: &[Query] = &[("a", 600)];
    let workers = [("W6", 50, long), ("W7", 50, long), ("W8", 50, long)];
    let others = [("W9", 50, query), ("W10", 250, query)];
    work_all(&pool, &[&workers[..], &others].concat()).await;

    println!("Aborted between two queries, it is used again:");
    let pool = connect(1, 3);
    abort(&pool, "Ada", &[("a", 100), ("b", 100)], 250).await;

    println!("Aborted within a query, it is replaced:");
    abort(&pool, "Bob", &[("a", 300)], 100).await;

    println!("After a panic within a query too, but the server refuses:");
    let cat = tokio::spawn(work(pool.clone(), "Cat", &[("odd", 100)]));
    if cat.await.is_err_and(|error| error.is_panic()) {
        println!("Cat panicked");
    }
    work(pool.clone(), "Dan", &[]).await;

    println!("Closed while Eve has the connection and Fay waits for it:");
    let closing = async {
        sleep(Duration::from_millis(250)).await;
        println!("closing");
        for connection in pool.close().await {
            println!("goodbye to {}", connection.number);
        }
    };
    let workers = [("Eve", 0, query), ("Fay", 150, query)];
    tokio::join!(work_all(&pool, &workers), closing);
    work(pool.clone(), "Gus", &[]).await;
}

#[tokio::main]
pub async fn main() {
    run().await;
}
