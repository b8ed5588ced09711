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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::{Arc, Mutex};
    use std::task::Poll;
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::{Instant, sleep, timeout};

    use super::{Manager, Pool, PoolError, Pooled};

    const HOUR: Duration = Duration::from_secs(3600);
    const TICK: Duration = Duration::from_millis(1);

    /// Polls the future at most `polls` times, a millisecond apart, and drops it if it is
    /// not ready then.
    async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
        let mut future = pin!(future);
        for _ in 0..polls {
            if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
                return Some(output);
            }
            sleep(Duration::from_millis(1)).await;
        }
        None
    }

    /// What happens at each opening, and how many connections there are.
    #[derive(Default)]
    struct Server {
        opening: Duration,
        fails_each: Option<usize>,
        panics_at: Option<usize>,
        tried: AtomicUsize,
        alive: Arc<AtomicUsize>,
        most: AtomicUsize,
    }

    #[derive(Debug)]
    struct Line {
        number: usize,
        is_broken: bool,
        panics: bool,
        alive: Arc<AtomicUsize>,
    }

    impl Drop for Line {
        fn drop(&mut self) {
            self.alive.fetch_sub(1, SeqCst);
        }
    }

    impl Manager for Arc<Server> {
        type Connection = Line;
        type Error = usize;

        async fn open(&self) -> Result<Line, usize> {
            let number = 1 + self.tried.fetch_add(1, SeqCst);
            // It counts while it is opened.
            let alive = 1 + self.alive.fetch_add(1, SeqCst);
            let line = Line {
                number,
                is_broken: false,
                panics: false,
                alive: Arc::clone(&self.alive),
            };
            self.most.fetch_max(alive, SeqCst);
            if self.opening > Duration::ZERO {
                sleep(self.opening).await;
            }
            assert_ne!(self.panics_at, Some(number), "scheduled");
            match self.fails_each {
                Some(each) if number.is_multiple_of(each) => Err(number),
                _ => Ok(line),
            }
        }

        fn is_broken(&self, line: &Line) -> bool {
            assert!(!line.panics, "scheduled");
            line.is_broken
        }
    }

    fn pool(server: Server, size: usize) -> (Pool<Arc<Server>>, Arc<Server>) {
        let server = Arc::new(server);
        (Pool::new(Arc::clone(&server), size, HOUR), server)
    }

    fn takes(ticks: u32) -> Server {
        Server {
            opening: ticks * TICK,
            ..Server::default()
        }
    }

    /// As many as the pool may have, at once and not one more.
    async fn all_of(pool: &Pool<Arc<Server>>, size: usize) -> Vec<Pooled<Arc<Server>>> {
        let mut all = Vec::new();
        while all.len() < size {
            all.push(pool.acquire().await.expect("there is room"));
        }
        assert!(timeout(10 * TICK, pool.acquire()).await.is_err());
        let numbers: HashSet<_> = all.iter().map(|line| line.number).collect();
        assert_eq!(numbers.len(), size, "each has its own");
        all
    }

    #[tokio::test(start_paused = true)]
    async fn acquire_dropped_at_each_await() {
        for holders in 0..3 {
            let mut completed = false;
            for polls in 1..30 {
                let (pool, server) = pool(takes(4), 2);
                let mut others = JoinSet::new();
                for _ in 0..holders {
                    let pool = pool.clone();
                    others.spawn(async move {
                        let _line = pool.acquire().await;
                        sleep(8 * TICK).await;
                    });
                }
                tokio::task::yield_now().await;
                let mine = poll_and_drop(pool.acquire(), polls);
                let next = async {
                    tokio::task::yield_now().await;
                    pool.acquire().await.map(|line| line.number)
                };
                let both = async { tokio::join!(mine, next) };
                let (mine, next) = timeout(HOUR, both).await.expect("nobody hangs");
                completed |= mine.is_some();
                assert!(next.is_ok(), "the next gets through");
                drop(mine);
                others.join_all().await;
                drop(all_of(&pool, 2).await);
                assert_eq!(server.most.load(SeqCst), 2);
                let closed = timeout(HOUR, pool.close()).await;
                assert_eq!(closed.expect("nobody is left").len(), 2);
                assert_eq!(server.alive.load(SeqCst), 0);
            }
            assert!(completed, "30 polls are enough");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn close_dropped_at_each_await() {
        for polls in 1..10 {
            let (pool, server) = pool(takes(1), 2);
            let held = all_of(&pool, 2).await;
            let waits = tokio::spawn({
                let pool = pool.clone();
                async move { pool.acquire().await.map(drop) }
            });
            tokio::task::yield_now().await;
            assert!(poll_and_drop(pool.close(), polls).await.is_none());
            let waited = timeout(HOUR, waits).await.expect("it is woken");
            assert_eq!(waited.expect("no panic"), Err(PoolError::Closed));
            assert_eq!(pool.acquire().await.map(drop), Err(PoolError::Closed));
            drop(held);
            assert_eq!(pool.close().await.len(), 2, "two went back");
            assert_eq!(pool.close().await.len(), 0, "they are given once");
            assert_eq!(server.alive.load(SeqCst), 0);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn ten_thousand_at_once() {
        const SIZE: usize = 5;
        let (pool, server) = pool(
            Server {
                opening: Duration::from_micros(1),
                fails_each: Some(7),
                ..Server::default()
            },
            SIZE,
        );
        let held = Arc::new(Mutex::new(HashSet::new()));
        let mut set = JoinSet::new();
        for number in 0..10_000 {
            let (pool, held) = (pool.clone(), Arc::clone(&held));
            let task = set.spawn(async move {
                let mut line = match pool.acquire().await {
                    Ok(line) => line,
                    Err(PoolError::Open(tried)) => {
                        assert_eq!(tried % 7, 0, "the others do not fail");
                        return;
                    }
                    Err(error) => panic!("{error}"),
                };
                line.is_broken = number % 50 == 0;
                // Between these two there is no await, so nobody is aborted there.
                assert!(held.lock().expect("sound").insert(line.number), "its own");
                for _ in 0..number % 100 {
                    std::hint::spin_loop();
                }
                assert!(held.lock().expect("sound").remove(&line.number));
                tokio::task::yield_now().await;
            });
            if number % 10 == 9 {
                task.abort();
            }
            if number % 100 == 0 {
                tokio::task::yield_now().await;
            }
        }
        let (mut worked, mut aborted) = (0, 0);
        let all = async {
            while let Some(ended) = set.join_next().await {
                match ended {
                    Ok(()) => worked += 1,
                    Err(error) if error.is_cancelled() => aborted += 1,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        timeout(Duration::from_secs(60), all)
            .await
            .expect("nobody hangs");
        assert_eq!(worked + aborted, 10_000);
        assert!(server.most.load(SeqCst) <= SIZE, "never one too many");
        assert_eq!(pool.0.places.available_permits(), SIZE);
        let closed = timeout(Duration::from_secs(60), pool.close()).await;
        let closed = closed.expect("nobody is left");
        assert_eq!(server.alive.load(SeqCst), closed.len());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn closed_while_it_is_used() {
        for _ in 0..100 {
            let (pool, server) = pool(Server::default(), 3);
            let mut set = JoinSet::new();
            for _ in 0..8 {
                let pool = pool.clone();
                set.spawn(async move {
                    while pool.acquire().await.is_ok() {
                        tokio::task::yield_now().await;
                    }
                });
            }
            while server.tried.load(SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            let closed = timeout(Duration::from_secs(60), pool.close()).await;
            let closed = closed.expect("nobody hangs");
            assert_eq!(server.alive.load(SeqCst), closed.len(), "all came back");
            set.join_all().await;
            assert!(pool.close().await.is_empty(), "none comes back later");
        }
    }

    #[test]
    #[should_panic = "nobody would ever get a connection"]
    fn a_size_of_nothing() {
        pool(Server::default(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_patience_at_all() {
        let server = Arc::new(Server::default());
        let pool = Pool::new(Arc::clone(&server), 1, Duration::ZERO);
        let held = pool.acquire().await.expect("there is room");
        let start = Instant::now();
        assert_eq!(pool.acquire().await.map(drop), Err(PoolError::TimedOut));
        assert_eq!(start.elapsed(), Duration::ZERO);
        drop(held);
        assert!(pool.acquire().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_opening_that_hangs_costs_no_place() {
        let server = Arc::new(takes(100));
        let pool = Pool::new(Arc::clone(&server), 1, 5 * TICK);
        for _ in 0..3 {
            assert_eq!(pool.acquire().await.map(drop), Err(PoolError::TimedOut));
            assert_eq!(server.alive.load(SeqCst), 0);
            assert_eq!(pool.0.places.available_permits(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn closed_during_an_opening() {
        let (pool, server) = pool(takes(5), 1);
        let opens = tokio::spawn({
            let pool = pool.clone();
            async move { pool.acquire().await.map(drop) }
        });
        sleep(TICK).await;
        assert_eq!(pool.close().await.len(), 1, "for a last word");
        let opened = opens.await.expect("no panic");
        assert_eq!(opened, Err(PoolError::Closed));
        assert_eq!(server.alive.load(SeqCst), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_one_is_not_given_at_the_end() {
        let (pool, _server) = pool(Server::default(), 2);
        let mut held = all_of(&pool, 2).await;
        held[0].is_broken = true;
        drop(held);
        let numbers: Vec<_> = pool.close().await.iter().map(|line| line.number).collect();
        assert_eq!(numbers, [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_holder_that_closes_waits_for_itself() {
        let (pool, _server) = pool(Server::default(), 1);
        let _held = pool.acquire().await;
        assert!(timeout(HOUR, pool.close()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn panics_cost_no_place() {
        let (pool, server) = pool(
            Server {
                panics_at: Some(1),
                ..Server::default()
            },
            1,
        );
        for panics_at in ["opening", "use", "the question"] {
            let pool = pool.clone();
            let task = tokio::spawn(async move {
                let mut line = pool.acquire().await.expect("it opens");
                line.panics = panics_at == "use";
                panic!("scheduled");
            });
            assert!(task.await.expect_err("it panics").is_panic());
        }
        assert!(timeout(HOUR, pool.acquire()).await.is_ok());
        assert_eq!(server.alive.load(SeqCst), 1);
        assert_eq!(server.tried.load(SeqCst), 3);
    }

    #[tokio::test]
    async fn in_a_struct_in_a_task_and_longer_than_the_pool() {
        struct Service {
            pool: Pool<Arc<Server>>,
            names: Vec<String>,
        }
        impl Service {
            async fn longest(&self) -> Option<(&str, usize)> {
                let line = self.pool.acquire().await.ok()?;
                let name = self.names.iter().max_by_key(|name| name.len())?;
                tokio::task::yield_now().await;
                Some((name, line.number))
            }
        }
        let (pool, server) = pool(Server::default(), 1);
        let names = vec!["a".to_string(), "bb".to_string()];
        let service = Arc::new(Service { pool, names });
        let task = tokio::spawn({
            let service = Arc::clone(&service);
            async move { service.longest().await.map(|(name, _)| name.len()) }
        });
        assert_eq!(task.await.expect("it is Send"), Some(2));
        let held = service.pool.acquire().await.expect("it is open");
        drop(service);
        assert_eq!(held.number, 1);
        drop(held);
        assert_eq!(server.alive.load(SeqCst), 0, "the last one ends the pool");
    }
}
