use std::collections::HashSet;
use std::error::Error;
use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::support::{all_wait, assert_linear, poll_and_drop};
use crate::connection_pool::{Pool, PoolError, Pooled};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

/// What happens at each opening, and how many connections there are.
#[derive(Default)]
struct Server {
    opening: Duration,
    /// From this number on, if it is not 0, an opening takes no time.
    quick_from: usize,
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

/// The number of a connection that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("refused")]
struct Refused(usize);

impl Server {
    async fn connect(self: Arc<Self>) -> Result<Line, Box<dyn Error + Send + Sync>> {
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
        let is_quick = (1..=number).contains(&self.quick_from);
        if self.opening > Duration::ZERO && !is_quick {
            sleep(self.opening).await;
        }
        assert_ne!(self.panics_at, Some(number), "scheduled");
        match self.fails_each {
            Some(each) if number.is_multiple_of(each) => Err(Refused(number).into()),
            _ => Ok(line),
        }
    }

    fn has_broken(line: &Line) -> bool {
        assert!(!line.panics, "scheduled");
        line.is_broken
    }
}

fn pool(server: Server, size: usize) -> (Pool<Line>, Arc<Server>) {
    let server = Arc::new(server);
    (pool_with(&server, size, HOUR, HOUR), server)
}

/// With a limit in `connect`, as the page advises.
fn pool_with(
    server: &Arc<Server>,
    max_size: usize,
    acquire_timeout: Duration,
    connect_timeout: Duration,
) -> Pool<Line> {
    let server = Arc::clone(server);
    let connect = move || {
        let connecting = Arc::clone(&server).connect();
        async move { timeout(connect_timeout, connecting).await? }
    };
    Pool::new(max_size, acquire_timeout, connect, Server::has_broken)
}

fn takes(ticks: u32) -> Server {
    Server {
        opening: ticks * TICK,
        ..Server::default()
    }
}

/// As many as the pool may have at the same time, and not one more.
async fn all_of(pool: &Pool<Line>, size: usize) -> Vec<Pooled<Line>> {
    let mut all = Vec::new();
    while all.len() < size {
        match pool.acquire().await {
            Ok(line) => all.push(line),
            // The server's, which says when it fails.
            Err(PoolError::Connect(_)) => {}
            Err(error) => panic!("{error}"),
        }
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
        assert!(matches!(waited.expect("no panic"), Err(PoolError::Closed)));
        assert!(matches!(pool.acquire().await, Err(PoolError::Closed)));
        drop(held);
        assert_eq!(server.alive.load(SeqCst), 0, "what comes back is closed");
        assert_eq!(pool.close().await.len(), 0);
    }
}

/// After deadpool's `close`, with a timeout around it as at a shutdown.
#[tokio::test(start_paused = true)]
async fn deadpool_a_close_that_times_out_keeps_no_connection_open() {
    let (pool, server) = pool(takes(1), 3);
    let mut held = all_of(&pool, 3).await;
    drop(held.pop());
    assert_eq!(server.alive.load(SeqCst), 3, "one is idle");
    assert!(timeout(TICK, pool.close()).await.is_err());
    assert_eq!(server.alive.load(SeqCst), 2, "the idle one is closed");
    drop(held);
    assert_eq!(server.alive.load(SeqCst), 0);
    assert!(matches!(pool.acquire().await, Err(PoolError::Closed)));
}

/// bb8's `max_lifetime`: a connection that knows its age is broken when it is too old.
#[tokio::test(start_paused = true)]
async fn bb8_a_maximum_age_is_a_matter_of_has_broken() {
    let connect = async || Ok(Instant::now());
    let is_old = |opened: &Instant| opened.elapsed() >= 10 * TICK;
    let pool = Pool::new(1, HOUR, connect, is_old);
    let first = *pool.acquire().await.expect("it is open");
    sleep(9 * TICK).await;
    assert_eq!(*pool.acquire().await.expect("it is open"), first);
    sleep(TICK).await;
    assert_ne!(*pool.acquire().await.expect("it is open"), first);
    pool.close().await;
    let error = pool.acquire().await.expect_err("it is closed");
    assert_eq!(error.to_string(), "the pool is closed");
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
                Err(PoolError::Connect(error)) => {
                    let tried = error.downcast_ref().map(|Refused(tried)| tried % 7);
                    assert_eq!(tried, Some(0), "the others do not fail");
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
    let all = timeout(Duration::from_secs(60), all_of(&pool, SIZE)).await;
    drop(all.expect("no place is lost"));
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
#[should_panic = "a pool needs a connection"]
fn a_size_of_nothing() {
    pool(Server::default(), 0);
}

#[test]
#[should_panic = "MAX_PERMITS"]
fn a_size_of_more_than_a_semaphore_counts() {
    pool(Server::default(), usize::MAX);
}

#[tokio::test(start_paused = true)]
async fn no_time_at_all() {
    let server = Arc::new(Server::default());
    let pool = pool_with(&server, 1, Duration::ZERO, HOUR);
    // It is opened for the next caller.
    assert!(matches!(pool.acquire().await, Err(PoolError::TimedOut)));
    sleep(TICK).await;
    let held = pool.acquire().await.expect("one is idle");
    let start = Instant::now();
    assert!(matches!(pool.acquire().await, Err(PoolError::TimedOut)));
    assert_eq!(start.elapsed(), Duration::ZERO);
    drop(held);
    assert!(pool.acquire().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_opening_that_hangs_costs_no_permit() {
    let server = Arc::new(Server {
        quick_from: 4,
        ..takes(100)
    });
    let pool = pool_with(&server, 1, HOUR, 5 * TICK);
    for _ in 0..3 {
        assert!(matches!(pool.acquire().await, Err(PoolError::Connect(_))));
        assert_eq!(server.alive.load(SeqCst), 0);
    }
    assert!(pool.acquire().await.is_ok(), "there is a permit");
}

/// A server that is slow for a while gets one connection, and not one for each attempt.
#[tokio::test(start_paused = true)]
async fn an_opening_outlives_a_caller_that_has_less_time() {
    let server = Arc::new(takes(60));
    let pool = pool_with(&server, 1, 50 * TICK, HOUR);
    let mut acquired = 0;
    for _ in 0..20 {
        acquired += u32::from(pool.acquire().await.is_ok());
    }
    assert_eq!((acquired, server.tried.load(SeqCst)), (19, 1));
    assert_eq!(pool.close().await.len(), 1);
}

/// It may hold a lock on the server, and perhaps nobody acquires again.
#[tokio::test]
async fn a_broken_one_is_closed_when_it_comes_back() {
    let (pool, server) = pool(Server::default(), 4);
    for panics in [false, true] {
        let holder = pool.clone();
        let (sender, held) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let mut line = holder.acquire().await.expect("it opens");
            line.is_broken = !panics;
            line.panics = panics;
            sender.send(()).expect("it is waited for");
            sleep(HOUR).await;
        });
        held.await.expect("it is held");
        task.abort();
        assert!(task.await.expect_err("it is aborted").is_cancelled());
        assert_eq!(server.alive.load(SeqCst), 0);
    }
}

#[tokio::test]
async fn errors_of_any_type_and_in_a_struct() {
    #[derive(Clone, Debug)]
    struct AppState {
        pool: Pool<Line>,
    }

    #[derive(Debug, thiserror::Error)]
    enum Mine {
        #[error("no database")]
        Pool(#[from] PoolError),
    }

    async fn use_it<E: From<PoolError>>(state: AppState) -> Result<(), E> {
        let _connection = state.pool.acquire().await?;
        Ok(())
    }

    let (pool, _server) = pool(
        Server {
            fails_each: Some(1),
            ..Server::default()
        },
        1,
    );
    let state = AppState { pool };
    let boxed = use_it::<Box<dyn Error + Send + Sync>>(state.clone());
    let error = tokio::spawn(boxed).await.expect("no panic");
    let error = error.expect_err("it refuses");
    assert_eq!(error.to_string(), "cannot connect");
    assert!(error.source().is_some_and(|cause| cause.is::<Refused>()));
    let mine = tokio::spawn(use_it::<Mine>(state.clone())).await;
    let error = mine.expect("no panic").expect_err("it refuses");
    let cause = error.source().and_then(|error| error.source());
    assert!(cause.is_some_and(|cause| cause.is::<Refused>()));
    assert!(format!("{state:?}").contains("Pool"));
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
    assert!(matches!(opened, Err(PoolError::Closed)));
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

/// One that was sound when it came back, and is broken at the end.
#[tokio::test(start_paused = true)]
async fn one_that_breaks_while_it_is_idle_is_not_given_at_the_end() {
    for (idle, expected) in [(TICK, 1), (20 * TICK, 0)] {
        let connect = async || Ok(Instant::now());
        let is_old = |opened: &Instant| opened.elapsed() > 10 * TICK;
        let pool = Pool::new(1, HOUR, connect, is_old);
        drop(pool.acquire().await.expect("it is open"));
        sleep(idle).await;
        assert_eq!(pool.close().await.len(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_closes_waits_for_itself() {
    let (pool, _server) = pool(Server::default(), 1);
    let _held = pool.acquire().await;
    assert!(timeout(HOUR, pool.close()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn panics_cost_no_permit() {
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
        pool: Pool<Line>,
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

#[test]
fn ten_times_as_many_that_wait_cost_ten_times_as_much() {
    assert_linear(async |number| {
        let (pool, _server) = pool(Server::default(), 1);
        let held = pool.acquire().await.expect("there is room");
        let waiting = all_wait(number, |_| {
            let pool = pool.clone();
            async move { pool.acquire().await.is_ok() }
        });
        let waiting = waiting.await;
        drop(held);
        assert!(waiting.join_all().await.into_iter().all(|is_ok| is_ok));
    });
}

/// What `Bounds` warns of: no timeout of a caller ends it, and nobody tries again.
#[tokio::test(start_paused = true)]
async fn a_connect_without_a_limit_that_hangs_takes_its_place_forever() {
    let tried = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tried);
    let connect = move || {
        count.fetch_add(1, SeqCst);
        pending()
    };
    let pool: Pool<()> = Pool::new(1, TICK, connect, |()| false);
    for _ in 0..10 {
        assert!(matches!(pool.acquire().await, Err(PoolError::TimedOut)));
        sleep(HOUR).await;
    }
    assert_eq!(tried.load(SeqCst), 1);
    assert!(timeout(HOUR, pool.close()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_connect_continues_in_the_caller_that_connects() {
    let (pool, _server) = pool(
        Server {
            panics_at: Some(1),
            ..Server::default()
        },
        1,
    );
    let acquired = AssertUnwindSafe(pool.acquire()).catch_unwind().await;
    let panic = acquired.expect_err("it panics");
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.contains("scheduled"), "{text}");
    assert!(pool.acquire().await.is_ok());
}

/// As a `select!` over `&mut` does while the body of another branch runs.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_paused_blocks_the_queue_and_close() {
    let (pool, _server) = pool(Server::default(), 1);
    let held = pool.acquire().await;
    let mut paused = Box::pin(pool.acquire());
    assert!(futures::poll!(paused.as_mut()).is_pending());
    drop(held);
    assert!(timeout(HOUR / 2, pool.acquire()).await.is_err());
    assert!(timeout(HOUR, pool.close()).await.is_err());
    drop(paused);
    assert!(timeout(HOUR, pool.close()).await.is_ok());
}
