//! Cases after the tests of bb8 and deadpool.

use std::sync::Mutex;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::simple_pool::{Connection, Pool, fetch};

const SECOND: Duration = Duration::from_secs(1);
/// What it takes to open a connection; a query takes a second.
const OPEN: Duration = Duration::from_millis(100);

fn pool(size: usize) -> Pool {
    Pool {
        permits: Semaphore::new(size),
        idle: Mutex::default(),
    }
}

fn idle(pool: &Pool) -> usize {
    pool.idle.lock().expect("no panic").len()
}

/// Makes so many queries at the same time, and returns how long they take.
async fn queries(pool: &Pool, number: u32) -> Duration {
    let start = Instant::now();
    let rows = join_all((0..number).map(|_| fetch(pool, "users"))).await;
    assert!(
        rows.into_iter()
            .all(|rows| rows.is_ok_and(|rows| rows == "Rows of users"))
    );
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn bb8_nothing_is_opened_before_a_query() {
    assert_eq!(idle(&pool(3)), 0);
}

#[tokio::test(start_paused = true)]
async fn bb8_a_connection_is_kept_for_the_next_query() {
    let pool = pool(3);
    assert_eq!(queries(&pool, 1).await, OPEN + SECOND);
    assert_eq!(idle(&pool), 1);
    assert_eq!(queries(&pool, 1).await, SECOND);
    assert_eq!(idle(&pool), 1);
}

#[tokio::test(start_paused = true)]
async fn bb8_no_more_connections_than_permits() {
    for size in [1, 3, 31] {
        let pool = pool(size);
        queries(&pool, 100).await;
        assert_eq!(idle(&pool), size);
    }
}

#[tokio::test(start_paused = true)]
async fn bb8_no_more_connections_than_queries_at_the_same_time() {
    let pool = pool(31);
    queries(&pool, 2).await;
    assert_eq!(idle(&pool), 2);
}

#[tokio::test(start_paused = true)]
async fn bb8_idle_connections_are_used_before_another_is_opened() {
    let pool = pool(3);
    queries(&pool, 2).await;
    assert_eq!(queries(&pool, 2).await, SECOND);
    assert_eq!(idle(&pool), 2);
}

#[tokio::test(start_paused = true)]
async fn bb8_a_connection_in_use_is_not_idle() {
    let pool = pool(1);
    queries(&pool, 1).await;
    let look = async {
        sleep(SECOND / 2).await;
        idle(&pool)
    };
    assert_eq!(tokio::join!(look, queries(&pool, 1)).0, 0);
}

#[tokio::test(start_paused = true)]
async fn bb8_a_query_that_is_dropped_closes_its_connection() {
    let pool = pool(1);
    assert!(timeout(SECOND / 2, fetch(&pool, "users")).await.is_err());
    assert_eq!((idle(&pool), pool.permits.available_permits()), (0, 1));
    assert_eq!(queries(&pool, 1).await, OPEN + SECOND);
}

#[tokio::test(start_paused = true)]
async fn bb8_dropped_while_it_opens_a_connection_it_keeps_no_permit() {
    let pool = pool(1);
    for _ in 0..9 {
        assert!(timeout(OPEN / 2, fetch(&pool, "users")).await.is_err());
    }
    assert_eq!(pool.permits.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn bb8_a_wait_has_no_limit_differs() {
    let pool = pool(1);
    // Put a timeout around it.
    assert_eq!(queries(&pool, 100).await, OPEN + 100 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn bb8_connections_may_be_put_there_before() {
    let pool = pool(2);
    for _ in 0..2 {
        pool.idle.lock().expect("no panic").push(Connection);
    }
    assert_eq!(queries(&pool, 2).await, SECOND);
}

#[tokio::test(start_paused = true)]
async fn deadpool_queries_run_side_by_side_up_to_the_size() {
    for (size, seconds) in [(1, 12), (3, 4), (12, 1)] {
        let pool = pool(size);
        assert_eq!(queries(&pool, 12).await, OPEN + seconds * SECOND);
    }
}

#[tokio::test(start_paused = true)]
async fn deadpool_queries_are_served_in_their_order() {
    let (pool, start) = (pool(1), Instant::now());
    let queries = (0..5).map(|_| async {
        assert!(fetch(&pool, "users").await.is_ok());
        start.elapsed().as_secs()
    });
    assert_eq!(join_all(queries).await, [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn deadpool_grown_it_serves_a_waiting_query() {
    let pool = pool(1);
    let grow = async {
        sleep(SECOND / 2).await;
        pool.permits.add_permits(1);
    };
    let (time, ()) = tokio::join!(queries(&pool, 2), grow);
    assert_eq!(time, SECOND / 2 + OPEN + SECOND);
}

#[tokio::test(start_paused = true)]
async fn deadpool_closed_it_refuses_queries_and_lets_running_ones_end() {
    let pool = pool(1);
    let close = async {
        sleep(SECOND / 2).await;
        pool.permits.close();
    };
    let runs = fetch(&pool, "users");
    let waits = fetch(&pool, "orders");
    let (ran, waited, ()) = tokio::join!(runs, waits, close);
    assert!(ran.is_ok() && waited.is_err());
    assert!(fetch(&pool, "users").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn deadpool_two_pools_share_nothing() {
    let (first, second) = (pool(1), pool(1));
    let both = tokio::join!(queries(&first, 1), queries(&second, 1));
    assert_eq!(both, (OPEN + SECOND, OPEN + SECOND));
}
