use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_metrics::TaskMonitor;

use crate::profiling::{SLOW, wait_to_be_woken};

#[tokio::test]
async fn a_victim_has_long_delays_and_no_slow_polls() {
    let monitor = || {
        let mut monitor = TaskMonitor::builder();
        monitor.with_slow_poll_threshold(SLOW);
        monitor.with_long_delay_threshold(SLOW);
        monitor.build()
    };
    let (culprit, victim) = (monitor(), monitor());
    let ready = Arc::new(Notify::new());
    let waits = victim.instrument(wait_to_be_woken(Arc::clone(&ready)));
    let waits = tokio::spawn(waits);
    let blocks = culprit.instrument(async move {
        ready.notify_one();
        thread::sleep(SLOW * 3);
    });
    let blocks = tokio::spawn(blocks);
    assert!(waits.await.is_ok() && blocks.await.is_ok());
    let (culprit, victim) = (culprit.cumulative(), victim.cumulative());
    assert_eq!(culprit.total_slow_poll_count, 1);
    assert_eq!(victim.total_slow_poll_count, 0);
    assert_eq!(victim.total_long_delay_count, 1);
}

#[tokio::test]
async fn by_default_a_fifth_of_a_millisecond_is_slow_and_a_task_may_be_unseen() {
    let monitor = TaskMonitor::new();
    let work = || async { thread::sleep(Duration::from_micros(200)) };
    let (seen, unseen) = (
        tokio::spawn(monitor.instrument(work())),
        tokio::spawn(work()),
    );
    assert!(seen.await.is_ok() && unseen.await.is_ok());
    let metrics = monitor.cumulative();
    assert_eq!(
        (metrics.total_poll_count, metrics.total_slow_poll_count),
        (1, 1)
    );
}
