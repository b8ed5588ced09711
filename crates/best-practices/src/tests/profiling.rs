use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_metrics::TaskMonitor;

use crate::profiling::SLOW;

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
    let to_be_woken = Arc::clone(&ready);
    let waits = victim.instrument(async move { to_be_woken.notified().await });
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

/// Many polls for little work: the task asks again and again instead of being woken.
#[tokio::test(start_paused = true)]
async fn a_task_that_asks_is_polled_more_often_than_one_that_is_woken() {
    let (asking, waiting) = (TaskMonitor::new(), TaskMonitor::new());
    let (is_ready, ready) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let asks = tokio::spawn(asking.instrument({
        let is_ready = Arc::clone(&is_ready);
        async move {
            while !is_ready.load(Relaxed) {
                sleep(Duration::from_millis(100)).await;
            }
        }
    }));
    let waits = tokio::spawn(waiting.instrument({
        let ready = Arc::clone(&ready);
        async move { ready.notified().await }
    }));
    sleep(Duration::from_millis(250)).await;
    is_ready.store(true, Relaxed);
    ready.notify_one();
    assert!(asks.await.is_ok() && waits.await.is_ok());
    let polls = |monitor: &TaskMonitor| monitor.cumulative().total_poll_count;
    assert_eq!((polls(&asking), polls(&waiting)), (4, 2));
}

/// The trap names this number.
#[test]
fn by_default_a_poll_of_50_microseconds_is_slow() {
    let threshold = TaskMonitor::DEFAULT_SLOW_POLL_THRESHOLD;
    assert_eq!(threshold, Duration::from_micros(50));
    assert_eq!(TaskMonitor::new().slow_poll_threshold(), threshold);
}
