//! Further cases after the tests of aiojobs, Go's `errgroup` and CPython's executors.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

use super::support::tasks;
use crate::pool_with_results::Pool;

const SECOND: Duration = Duration::from_secs(1);

async fn job(seconds: u32) -> u32 {
    sleep(seconds * SECOND).await;
    seconds
}

#[tokio::test(start_paused = true)]
async fn aiojobs_a_spawned_job_returns_its_result() {
    let pool = Pool::new(2);
    let handle = pool.submit(job(3)).await.expect("it is open");
    assert_eq!(handle.await.expect("no panic"), 3);
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn aiojobs_a_job_runs_although_nobody_waits_for_it() {
    let (pool, ended) = (Pool::new(2), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&ended);
    let handle = pool.submit(async move { counted.fetch_add(1, SeqCst) });
    drop(handle.await.expect("it is open"));
    sleep(SECOND).await;
    assert_eq!(ended.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn aiojobs_above_the_limit_a_spawn_waits() {
    let (pool, start) = (Pool::new(2), Instant::now());
    for seconds in [1, 2, 0] {
        pool.submit(job(seconds)).await.expect("it is open");
    }
    assert_eq!(start.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn aiojobs_a_wait_with_a_limit_leaves_the_job() {
    let pool = Pool::new(1);
    let mut handle = pool.submit(job(5)).await.expect("it is open");
    assert!(timeout(SECOND, &mut handle).await.is_err());
    assert_eq!(handle.await.expect("it goes on"), 5);
}

#[tokio::test(start_paused = true)]
async fn aiojobs_a_closed_job_gives_its_place_to_the_next() {
    let pool = Pool::new(1);
    let hangs = pool.submit(pending::<()>()).await.expect("it is open");
    hangs.abort();
    let next = timeout(SECOND, pool.submit(job(0))).await;
    assert_eq!(next.expect("a place").expect("open").await.ok(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn aiojobs_an_exception_of_a_job_is_in_its_handle_only() {
    let pool = Pool::new(1);
    let panics = pool.submit(async { panic!("scheduled") }).await;
    let panics: tokio::task::JoinHandle<()> = panics.expect("it is open");
    assert!(panics.await.is_err_and(|error| error.is_panic()));
    let next = pool.submit(job(1)).await.expect("it is open");
    assert_eq!(next.await.ok(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn aiojobs_closed_it_refuses_jobs() {
    let pool = Pool::new(1);
    pool.shutdown().await;
    assert!(pool.submit(job(0)).await.is_err());
    pool.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn aiojobs_a_shutdown_waits_for_running_jobs_and_aborts_none_differs() {
    let (pool, start) = (Pool::new(2), Instant::now());
    let handle = pool.submit(job(5)).await.expect("it is open");
    pool.shutdown().await;
    assert_eq!(start.elapsed(), 5 * SECOND);
    assert_eq!(handle.now_or_never().expect("it has ended").ok(), Some(5));
}

#[tokio::test(start_paused = true)]
async fn go_errgroup_wait_returns_when_all_have_ended() {
    let (pool, ended) = (Pool::new(9), Arc::new(AtomicU32::new(0)));
    for seconds in 0..9 {
        let ended = Arc::clone(&ended);
        let job = async move {
            sleep(seconds * SECOND).await;
            ended.fetch_add(1, SeqCst);
        };
        pool.submit(job).await.expect("it is open");
    }
    pool.shutdown().await;
    assert_eq!(ended.load(SeqCst), 9);
}

#[tokio::test(start_paused = true)]
async fn go_errgroup_never_more_active_than_the_limit() {
    let (pool, active) = (Pool::new(3), Arc::new(AtomicU32::new(0)));
    let jobs = (0..1000_u32).map(|number| {
        let active = Arc::clone(&active);
        pool.submit(async move {
            assert!(active.fetch_add(1, SeqCst) < 3);
            sleep(number % 7 * SECOND).await;
            active.fetch_sub(1, SeqCst);
        })
    });
    for handle in join_all(jobs).await {
        handle.expect("it is open").await.expect("within the limit");
    }
}

#[tokio::test(start_paused = true)]
async fn go_errgroup_try_go_is_a_submit_that_is_polled_once() {
    let pool = Pool::new(1);
    let first = pool.submit(job(1)).now_or_never();
    assert!(first.is_some());
    assert!(pool.submit(job(1)).now_or_never().is_none());
    sleep(2 * SECOND).await;
    assert!(pool.submit(job(1)).now_or_never().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cpython_jobs_of_several_submitters_return_their_own_results() {
    let pool = Pool::new(4);
    let jobs = (0..1000_u32).map(|number| {
        let pool = pool.clone();
        async move {
            let handle = pool.submit(async move {
                yield_now().await;
                number
            });
            handle.await.expect("it is open").await.ok()
        }
    });
    assert!((0..1000).map(Some).eq(join_all(jobs).await));
}

#[tokio::test(start_paused = true)]
async fn cpython_a_waiting_job_that_is_cancelled_never_begins() {
    let (pool, begun) = (Pool::new(1), Arc::new(AtomicU32::new(0)));
    let (end, ended) = oneshot::channel::<()>();
    pool.submit(ended).await.expect("it is open");
    let counted = Arc::clone(&begun);
    let waits = pool.submit(async move { counted.fetch_add(1, SeqCst) });
    assert!(timeout(SECOND, waits).await.is_err());
    end.send(()).expect("the job waits");
    pool.shutdown().await;
    assert_eq!(begun.load(SeqCst), 0);
}
