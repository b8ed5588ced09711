use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use tokio::sync::Mutex;
use tokio::time::sleep;

use crate::pitfalls::{
    increment, increment_locked, jobs, request, save, timeout_for_both, timeout_for_work,
};

const COUNTS: [u32; 5] = [0, 1, 31, 129, 1000];

#[tokio::test(start_paused = true)]
async fn a_future_that_is_not_awaited_does_nothing() {
    let saved = AtomicU32::new(0);
    let forgotten = save(&saved);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(saved.load(Relaxed), 0);
    forgotten.await;
    assert_eq!(saved.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_around_the_work_alone_loses_no_job() {
    for count in COUNTS {
        let odd: Vec<_> = (1..=count).step_by(2).collect();
        let even: Vec<_> = (2..=count).step_by(2).collect();
        assert_eq!(timeout_for_work(jobs(count)).await, (odd.clone(), even));
        assert_eq!(timeout_for_both(jobs(count)).await, odd);
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_refuses_what_comes_at_once() {
    let open = AtomicU32::new(0);
    for count in COUNTS {
        let at_once = join_all((0..count).map(|_| request(&open))).await;
        let answered = at_once.iter().filter(|answered| **answered).count();
        assert_eq!(answered, count.min(5) as usize);
        let limited = stream::iter(0..count).map(|_| request(&open));
        let limited: Vec<_> = limited.buffer_unordered(5).collect().await;
        assert!(limited.iter().all(|answered| *answered));
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_locked_count_is_right() {
    for count in COUNTS {
        let racing = AtomicU32::new(0);
        join_all((0..count).map(|_| increment(&racing))).await;
        assert_eq!(racing.into_inner(), count.min(1));
        let locked = Mutex::new(0);
        join_all((0..count).map(|_| increment_locked(&locked))).await;
        assert_eq!(locked.into_inner(), count);
    }
}
