use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::support::{all_wait, assert_linear};
use crate::queue_join::{Jobs, process};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn a_put_that_is_dropped_half_way_counts_nothing() {
    let (jobs, mut receiver) = Jobs::new(1);
    jobs.put(1).await.expect("the receiver is there");
    assert!(timeout(HOUR, jobs.put(2)).await.is_err(), "it is full");
    assert!(timeout(HOUR, jobs.join()).await.is_err(), "1 is unfinished");
    drop(receiver.recv().await);
    assert!(timeout(HOUR, jobs.join()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_put_that_waits_counts_already() {
    let (jobs, mut receiver) = Jobs::new(1);
    jobs.put(1).await.expect("the receiver is there");
    let mut put = Box::pin(jobs.put(2));
    assert!(futures::poll!(put.as_mut()).is_pending(), "it is full");
    drop(receiver.recv().await);
    assert!(timeout(HOUR, jobs.join()).await.is_err(), "2 is unfinished");
    drop(put);
    assert!(timeout(HOUR, jobs.join()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn join_waits_for_a_job_that_was_moved_and_not_for_its_number() {
    let (jobs, mut receiver) = Jobs::new(1);
    jobs.put(1).await.expect("the receiver is there");
    let job = receiver.recv().await.expect("the sender is there");
    let moved = tokio::spawn(async move {
        sleep(HOUR / 2).await;
        process(&job).await
    });
    assert!(timeout(HOUR / 3, jobs.join()).await.is_err());
    assert!(timeout(HOUR / 3, jobs.join()).await.is_ok());
    assert!(matches!(moved.await, Ok(Ok(()))));

    jobs.put(2).await.expect("the receiver is there");
    let copied = {
        let job = receiver.recv().await.expect("the sender is there");
        tokio::spawn(async move {
            sleep(HOUR / 2).await;
            job.number
        })
    };
    assert!(timeout(HOUR / 3, jobs.join()).await.is_ok(), "early");
    assert!(!copied.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_panics_leaves_nothing_unfinished_and_no_place_to_put() {
    let (jobs, mut receiver) = Jobs::new(2);
    jobs.put(1).await.expect("the receiver is there");
    jobs.put(2).await.expect("the receiver is there");
    let worker = tokio::spawn(async move {
        let job = receiver.recv().await.expect("the sender is there");
        panic!("job {}", job.number);
    });
    assert!(timeout(HOUR, jobs.join()).await.is_ok());
    assert!(worker.await.is_err_and(|error| error.is_panic()));
    let refused = jobs.put(3).await.map_err(|error| error.0.number);
    assert_eq!(refused, Err(3));
    assert!(timeout(HOUR, jobs.join()).await.is_ok(), "3 is given back");
}

#[test]
fn ten_times_as_many_that_wait_cost_ten_times_as_much() {
    assert_linear(async |number| {
        let (jobs, mut receiver) = Jobs::new(1);
        let jobs = Arc::new(jobs);
        let putting = all_wait(number, |number| {
            let jobs = Arc::clone(&jobs);
            async move { jobs.put(number).await.is_ok() }
        });
        let putting = putting.await;
        let work = async {
            for _ in 0..number {
                assert!(receiver.recv().await.is_some());
            }
        };
        tokio::join!(work, jobs.join());
        assert!(putting.join_all().await.into_iter().all(|is_put| is_put));
    });
}
