//! Cases after the tests of CPython's executors and of aiojobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::support::{soon, tasks};
use crate::worker_pool::{Panicked, Results, worker_pool};

const SECOND: Duration = Duration::from_secs(1);

/// Jobs that take so many seconds, and return them. 99 panics.
fn pool(workers: usize) -> (mpsc::Sender<(u32, u32)>, Results<u32, u32>) {
    worker_pool(workers, 100, async |seconds: u32| {
        sleep(seconds * SECOND).await;
        assert_ne!(seconds, 99, "scheduled");
        seconds
    })
}

/// Submits the jobs, and returns their keys and values as they complete.
async fn run(workers: usize, jobs: &[u32]) -> Vec<(u32, Result<u32, Panicked>)> {
    let (submit, mut results) = pool(workers);
    for (key, seconds) in (0..).zip(jobs) {
        submit.send((key, *seconds)).await.expect("it works");
    }
    drop(submit);
    let mut all = Vec::new();
    while let Some(result) = results.next().await {
        all.push(result);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn cpython_submit_returns_the_value() {
    assert_eq!(run(1, &[3]).await, [(0, Ok(3))]);
}

#[tokio::test(start_paused = true)]
async fn cpython_results_come_as_they_complete() {
    let keys: Vec<_> = run(3, &[3, 1, 2])
        .await
        .into_iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(keys, [1, 2, 0]);
}

#[tokio::test(start_paused = true)]
async fn cpython_one_worker_keeps_the_order() {
    let keys: Vec<_> = run(1, &[3, 1, 2])
        .await
        .into_iter()
        .map(|it| it.0)
        .collect();
    assert_eq!(keys, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn cpython_an_exception_is_the_result_of_its_job() {
    let results = run(1, &[99, 1]).await;
    let Err(Panicked(text)) = &results[0].1 else {
        panic!("it panics");
    };
    assert!(text.contains("scheduled"));
    assert_eq!(results[1], (1, Ok(1)), "its worker goes on");
}

#[tokio::test(start_paused = true)]
async fn cpython_as_many_run_as_there_are_workers() {
    for (workers, seconds) in [(1, 12), (3, 4), (12, 1), (100, 1)] {
        let start = Instant::now();
        assert_eq!(run(workers, &[1; 12]).await.len(), 12);
        assert_eq!(start.elapsed(), seconds * SECOND, "{workers}");
    }
}

#[tokio::test(start_paused = true)]
async fn cpython_no_jobs_are_no_results() {
    assert_eq!(run(3, &[]).await, []);
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn cpython_a_shutdown_lets_all_jobs_end() {
    let results = run(2, &[5; 31]).await;
    assert!(results.into_iter().all(|result| result.1 == Ok(5)));
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn cpython_shutdown_with_cancel_futures_runs_no_waiting_job() {
    let begun = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&begun);
    let (submit, mut results) = worker_pool(2, 100, move |()| {
        counted.fetch_add(1, SeqCst);
        sleep(SECOND)
    });
    for key in 0..9 {
        submit.send((key, ())).await.expect("there is room");
    }
    sleep(SECOND / 2).await;
    results.stop().await;
    assert_eq!((begun.load(SeqCst), tasks()), (2, 0));
    assert_eq!(soon(results.next()).await, None);
}

#[tokio::test(start_paused = true)]
async fn cpython_after_the_shutdown_a_job_is_refused() {
    let (submit, mut results) = pool(2);
    results.stop().await;
    assert!(submit.send((7, 1)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn cpython_a_pool_that_is_dropped_stops() {
    let (submit, results) = pool(2);
    submit.send((0, 60)).await.expect("there is room");
    sleep(SECOND).await;
    drop((submit, results));
    sleep(SECOND).await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a pool without workers")]
async fn cpython_no_workers_are_refused() {
    drop(pool(0));
}

#[tokio::test(start_paused = true)]
async fn cpython_a_wait_for_a_result_may_time_out() {
    let (submit, mut results) = pool(1);
    submit.send((0, 5)).await.expect("there is room");
    for _ in 0..4 {
        assert!(timeout(SECOND, results.next()).await.is_err());
    }
    assert_eq!(results.next().await, Some((0, Ok(5))));
}

#[tokio::test(start_paused = true)]
async fn cpython_a_finished_job_keeps_no_argument() {
    let argument = Arc::new(());
    let (submit, mut results) = worker_pool(1, 9, async |_: Arc<()>| ());
    submit.send((0, Arc::clone(&argument))).await.expect("room");
    assert_eq!(results.next().await, Some((0, Ok(()))));
    assert_eq!(Arc::strong_count(&argument), 1);
}

#[tokio::test(start_paused = true)]
async fn cpython_idle_workers_are_used_again() {
    let (submit, mut results) = pool(2);
    for round in 0..31 {
        submit.send((round, 1)).await.expect("it works");
        assert_eq!(results.next().await, Some((round, Ok(1))));
    }
    assert_eq!(tasks(), 2);
}

#[tokio::test(start_paused = true)]
async fn aiojobs_a_job_above_the_limit_waits() {
    let start = Instant::now();
    run(2, &[1, 1, 1]).await;
    assert_eq!(start.elapsed(), 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn aiojobs_a_full_queue_slows_the_submitter_down() {
    let (submit, mut results) = worker_pool(1, 1, |()| sleep(SECOND));
    for key in 0..2 {
        submit.send((key, ())).await.expect("there is room");
    }
    // One runs, one waits, and the worker takes none before it has ended.
    tokio::task::yield_now().await;
    let third = timeout(SECOND / 2, async {
        submit.send((2, ())).await.expect("it works");
        submit.send((3, ())).await
    });
    assert!(third.await.is_err());
    assert!(soon(results.next()).await.is_some());
}
