use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::task_in_a_struct::Heartbeat;

#[tokio::test(start_paused = true)]
async fn stop_does_not_wait_for_the_next_beat() {
    let heartbeat = Heartbeat::start();
    sleep(Duration::from_millis(1500)).await;
    assert!(heartbeat.is_running());
    let start = Instant::now();
    assert_eq!(heartbeat.stop().await.expect("no panic"), 2);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn dropped_or_stopped_halfway_it_leaves_no_task() {
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let heartbeat = Heartbeat::start();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(tasks(), 1);
    drop(heartbeat);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(tasks(), 0);

    // The caller of `stop` is dropped before its first poll, and after it.
    drop(Heartbeat::start().stop());
    let mut stop = Box::pin(Heartbeat::start().stop());
    assert!(futures::poll!(&mut stop).is_pending());
    drop(stop);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(tasks(), 0);
}

/// The trap.
#[tokio::test]
#[should_panic(expected = "JoinHandle polled after completion")]
async fn a_second_await_of_a_handle_panics() {
    let mut task = tokio::spawn(async { 7 });
    assert_eq!((&mut task).await.expect("no panic"), 7);
    let _ = (&mut task).await;
}
