//! How many connections there are, and which of them a query reuses.

use std::sync::Mutex;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::support::poll_and_drop;
use crate::simple_pool::{Pool, fetch};

const QUERY: Duration = Duration::from_secs(1);
const OPENING: Duration = Duration::from_millis(100);

fn pool(size: usize) -> Pool {
    Pool {
        permits: Semaphore::new(size),
        idle: Mutex::default(),
    }
}

fn idle(pool: &Pool) -> usize {
    pool.idle.lock().expect("no panic").len()
}

#[tokio::test(start_paused = true)]
async fn however_many_queries_no_more_connections_than_permits() {
    for (queries, rounds) in [(0, 0), (1, 1), (31, 11), (129, 43), (1000, 334)] {
        let (pool, start) = (pool(3), Instant::now());
        let all = join_all((0..queries).map(|_| fetch(&pool, "users")));
        let all = timeout(1000 * QUERY, all).await.expect("nobody hangs");
        assert_eq!(all.len(), queries);
        assert!(all.iter().flatten().all(|rows| rows == "Rows of users"));
        assert_eq!(idle(&pool), queries.min(3));
        let opening = if queries > 0 { OPENING } else { Duration::ZERO };
        assert_eq!(start.elapsed(), opening + rounds * QUERY);
    }
}

#[tokio::test(start_paused = true)]
async fn a_query_that_is_cancelled_closes_its_connection_and_keeps_no_permit() {
    let pool = pool(1);
    // The first is cancelled while it opens, the second during the query.
    for limit in [OPENING / 2, OPENING + QUERY / 2] {
        assert!(timeout(limit, fetch(&pool, "users")).await.is_err());
        assert_eq!((idle(&pool), pool.permits.available_permits()), (0, 1));
    }
    for expected in [OPENING + QUERY, QUERY] {
        let start = Instant::now();
        assert!(fetch(&pool, "users").await.is_ok());
        assert_eq!(start.elapsed(), expected);
        assert_eq!((idle(&pool), pool.permits.available_permits()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_query_that_is_dropped_leaves_the_queue() {
    let pool = pool(1);
    let waiting = async { poll_and_drop(fetch(&pool, "orders"), 10).await };
    let (rows, waited) = tokio::join!(fetch(&pool, "users"), waiting);
    assert!(rows.is_ok() && waited.is_none());
    let next = timeout(1000 * QUERY, fetch(&pool, "users"));
    assert!(next.await.is_ok_and(|rows| rows.is_ok()));
}

#[tokio::test]
async fn a_closed_semaphore_is_an_error() {
    let pool = pool(1);
    pool.permits.close();
    assert!(fetch(&pool, "users").await.is_err());
}
