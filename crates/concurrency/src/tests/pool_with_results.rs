use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::support::{poll_and_drop, soon};
use crate::pool_with_results::Pool;

const TICK: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn so_many_run_at_once_and_each_returns_its_own_result() {
    for number in [0, 1, 31, 129, 1000] {
        for places in [1, 3, 31] {
            let pool = Pool::new(places);
            let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::default());
            let mut jobs = Vec::new();
            for job in 0..number {
                let (running, most): (_, Arc<AtomicUsize>) =
                    (Arc::clone(&running), Arc::clone(&most));
                let work = async move {
                    most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                    sleep(TICK).await;
                    running.fetch_sub(1, SeqCst);
                    job
                };
                jobs.push(pool.submit(work).await.expect("it is open"));
            }
            for (job, handle) in jobs.into_iter().enumerate() {
                assert_eq!(handle.await.expect("it returns"), job);
            }
            assert_eq!(most.load(SeqCst), places.min(number));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_an_abort_and_a_dropped_call_give_their_place_back() {
    let pool = Pool::new(1);
    let panics = pool.submit(async { panic!("scheduled") }).await;
    let error: tokio::task::JoinError = panics
        .expect("it is open")
        .await
        .map(|(): ()| ())
        .expect_err("it panics");
    assert!(error.is_panic());
    let hangs = pool
        .submit(std::future::pending::<()>())
        .await
        .expect("it is open");
    for polls in 1..4 {
        let waits = poll_and_drop(pool.submit(async {}), polls).await;
        assert!(waits.is_none(), "the place is taken");
    }
    hangs.abort();
    let works = timeout(TICK * 60, pool.submit(async { 7 }))
        .await
        .expect("a place");
    assert_eq!(works.expect("it is open").await.expect("it returns"), 7);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_what_runs_and_refuses_what_waits() {
    let pool = Pool::new(1);
    let ended = Arc::new(AtomicUsize::new(0));
    let job = |ended: &Arc<AtomicUsize>| {
        let ended = Arc::clone(ended);
        async move {
            sleep(5 * TICK).await;
            ended.fetch_add(1, SeqCst);
        }
    };
    drop(pool.submit(job(&ended)).await.expect("it is open"));
    let waiting = tokio::spawn({
        let (pool, job) = (pool.clone(), job(&ended));
        async move { pool.submit(job).await.is_err() }
    });
    sleep(TICK).await;
    pool.shutdown().await;
    assert_eq!(ended.load(SeqCst), 1);
    assert!(waiting.await.expect("it does not panic"), "it was refused");
    assert!(pool.submit(async {}).await.is_err());
    pool.shutdown().await;
}

/// A call is counted before it has its place. Otherwise a call on another thread could
/// have the place, and not be counted yet, when `shutdown` looks.
#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_each_call_that_has_begun() {
    let pool = Pool::new(1);
    let holder = pool.submit(async {}).await.expect("it is open");
    let mut caller = Box::pin(pool.submit(async {}));
    assert!(futures::poll!(&mut caller).is_pending());
    holder.await.expect("it does not panic");
    let mut shutdown = Box::pin(pool.shutdown());
    let ended = futures::poll!(&mut shutdown).is_ready();
    assert!(!ended, "a call has begun");
    assert!(caller.await.is_err(), "it is refused");
    shutdown.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_from_several_threads() {
    let pool = Pool::new(31);
    let running = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for number in 0..10_000 {
        let (pool, running) = (pool.clone(), Arc::clone(&running));
        callers.spawn(async move {
            let job = async move {
                assert!(running.fetch_add(1, SeqCst) < 31, "too many at once");
                tokio::task::yield_now().await;
                running.fetch_sub(1, SeqCst);
                number
            };
            let handle = pool.submit(job).await.expect("it is open");
            assert_eq!(handle.await.expect("it returns"), number);
        });
    }
    while let Some(ended) = soon(callers.join_next()).await {
        ended.expect("no caller panics");
    }
    soon(pool.shutdown()).await;
}

#[test]
#[should_panic(expected = "no job could ever run")]
fn go_errgroup_a_limit_of_zero_is_refused() {
    drop(Pool::new(0));
}

#[tokio::test(start_paused = true)]
async fn aiojobs_a_job_outlives_a_dropped_handle_and_a_shutdown_that_timed_out() {
    let pool = Pool::new(1);
    let ended = Arc::new(AtomicUsize::new(0));
    let job = {
        let ended = Arc::clone(&ended);
        async move {
            sleep(5 * TICK).await;
            ended.fetch_add(1, SeqCst);
        }
    };
    drop(pool.submit(job).await.expect("it is open"));
    assert!(timeout(TICK, pool.shutdown()).await.is_err());
    assert!(pool.submit(async {}).await.is_err(), "it stays shut down");
    soon(pool.shutdown()).await;
    assert_eq!(ended.load(SeqCst), 1);
}

/// The trap: as many jobs as there are places each wait for a job of their own.
#[tokio::test(start_paused = true)]
async fn jobs_that_wait_for_jobs_of_their_own_pool_deadlock_when_they_take_all_places() {
    for (outer, ends) in [(2, true), (3, false)] {
        let pool = Pool::new(3);
        let mut handles = Vec::new();
        for _ in 0..outer {
            let own = pool.clone();
            let job = async move {
                sleep(TICK).await;
                let inner = own.submit(async { 7 }).await.expect("it is open");
                inner.await.expect("it returns")
            };
            handles.push(pool.submit(job).await.expect("it is open"));
        }
        let all = futures::future::join_all(handles);
        let ended = timeout(Duration::from_secs(3600), all).await;
        assert_eq!(ended.is_ok(), ends, "{outer} of 3 places");
    }
}
