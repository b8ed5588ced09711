//! Further cases after the tests of bb8 and deadpool.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use crate::connection_pool::{Pool, PoolError};

const SECOND: Duration = Duration::from_secs(1);

/// Counts its connections. Opening one takes a second.
#[derive(Default)]
struct Server {
    opened: AtomicU32,
    alive: AtomicU32,
    refuses: AtomicBool,
}

struct Connection {
    number: u32,
    broken: bool,
    server: Arc<Server>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.alive.fetch_sub(1, SeqCst);
    }
}

async fn connect(
    server: Arc<Server>,
) -> Result<Connection, Box<dyn Error + Send + Sync>> {
    sleep(SECOND).await;
    if server.refuses.load(SeqCst) {
        return Err("refused".into());
    }
    let number = server.opened.fetch_add(1, SeqCst) + 1;
    server.alive.fetch_add(1, SeqCst);
    Ok(Connection {
        number,
        broken: false,
        server,
    })
}

fn pool(size: usize) -> (Pool<Connection>, Arc<Server>) {
    let server = Arc::new(Server::default());
    let shared = Arc::clone(&server);
    let open = move || connect(Arc::clone(&shared));
    let pool = Pool::new(size, 10 * SECOND, open, |connection: &Connection| {
        connection.broken
    });
    (pool, server)
}

/// Takes a connection, and returns its number.
async fn number(pool: &Pool<Connection>) -> u32 {
    pool.acquire().await.expect("there is one").number
}

#[tokio::test(start_paused = true)]
async fn bb8_a_connection_is_opened_when_it_is_needed() {
    let (pool, server) = pool(3);
    sleep(SECOND).await;
    assert_eq!(server.opened.load(SeqCst), 0);
    assert_eq!(number(&pool).await, 1);
}

#[tokio::test(start_paused = true)]
async fn bb8_a_returned_connection_is_used_again() {
    let (pool, server) = pool(3);
    for _ in 0..31 {
        assert_eq!(number(&pool).await, 1);
    }
    assert_eq!(server.opened.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn bb8_never_more_connections_than_the_size() {
    let (pool, server) = pool(3);
    let uses = (0..31).map(|_| async {
        let _pooled = pool.acquire().await.expect("there is one");
        assert!(server.alive.load(SeqCst) <= 3);
        sleep(SECOND / 100).await;
    });
    join_all(uses).await;
    assert_eq!(server.opened.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn bb8_a_wait_for_a_connection_times_out() {
    let (pool, _server) = pool(1);
    let _taken = pool.acquire().await;
    let start = Instant::now();
    assert!(matches!(pool.acquire().await, Err(PoolError::TimedOut)));
    assert_eq!(start.elapsed(), 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn bb8_a_broken_connection_is_replaced() {
    let (pool, server) = pool(1);
    pool.acquire().await.expect("there is one").broken = true;
    assert_eq!(server.alive.load(SeqCst), 0, "closed when it came back");
    assert_eq!(number(&pool).await, 2);
}

#[tokio::test(start_paused = true)]
async fn bb8_an_error_of_connect_reaches_the_caller_and_costs_no_place() {
    let (pool, server) = pool(1);
    server.refuses.store(true, SeqCst);
    for _ in 0..3 {
        let refused = pool.acquire().await;
        assert!(matches!(refused, Err(PoolError::Connect(_))));
    }
    server.refuses.store(false, SeqCst);
    assert_eq!(number(&pool).await, 1);
}

#[tokio::test(start_paused = true)]
async fn bb8_a_failed_connect_is_not_retried_differs() {
    let (pool, server) = pool(1);
    server.refuses.store(true, SeqCst);
    let start = Instant::now();
    assert!(pool.acquire().await.is_err());
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn bb8_a_caller_that_is_dropped_while_it_connects_leaves_its_connection() {
    let (pool, server) = pool(1);
    assert!(timeout(SECOND / 2, pool.acquire()).await.is_err());
    assert_eq!(number(&pool).await, 1);
    assert_eq!(server.opened.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn bb8_a_panic_returns_the_connection() {
    let (pool, _server) = pool(1);
    let shared = pool.clone();
    let task = tokio::spawn(async move {
        let _pooled = shared.acquire().await;
        panic!("scheduled");
    });
    assert!(task.await.is_err());
    assert_eq!(number(&pool).await, 1);
}

#[tokio::test(start_paused = true)]
async fn bb8_the_connection_that_was_used_last_comes_first() {
    let (pool, _server) = pool(3);
    let [first, second, third] = [
        pool.acquire().await,
        pool.acquire().await,
        pool.acquire().await,
    ];
    drop((first, third, second));
    assert_eq!(number(&pool).await, 2);
}

#[tokio::test(start_paused = true)]
async fn deadpool_waiters_are_served_in_their_order() {
    let (pool, _server) = pool(1);
    let start = Instant::now();
    let uses = (0..5).map(|_| async {
        let _pooled = pool.acquire().await.expect("there is one");
        sleep(SECOND).await;
        start.elapsed().as_secs()
    });
    assert_eq!(join_all(uses).await, [2, 3, 4, 5, 6]);
}

#[tokio::test(start_paused = true)]
async fn deadpool_closed_it_gives_no_connection() {
    let (pool, server) = pool(2);
    number(&pool).await;
    let idle = pool.close().await;
    assert_eq!(idle.len(), 1);
    drop(idle);
    assert!(matches!(pool.acquire().await, Err(PoolError::Closed)));
    assert_eq!(server.alive.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn deadpool_closed_it_wakes_the_waiters() {
    let (pool, _server) = pool(1);
    let taken = pool.acquire().await.expect("there is one");
    let close = async {
        sleep(SECOND).await;
        let release = async {
            sleep(SECOND).await;
            drop(taken);
        };
        tokio::join!(pool.close(), release)
    };
    let (waited, _) = tokio::join!(pool.acquire(), close);
    assert!(matches!(waited, Err(PoolError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn deadpool_a_connection_returns_after_its_pool_was_dropped() {
    let (pool, server) = pool(1);
    let taken = pool.acquire().await.expect("there is one");
    drop(pool);
    assert_eq!((taken.number, server.alive.load(SeqCst)), (1, 1));
    drop(taken);
    assert_eq!(server.alive.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn deadpool_an_idle_connection_is_taken_without_a_wait() {
    let (pool, _server) = pool(1);
    number(&pool).await;
    assert!(pool.acquire().now_or_never().is_some());
}
