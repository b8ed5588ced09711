//! Whether a task may start before the line after its `spawn`.

use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::Builder;

/// Whether the task starts while the code that spawned it blocks its thread.
fn starts_at_once(mut builder: Builder, limit: Duration) -> bool {
    let runtime = builder.enable_all().build().expect("it builds");
    runtime.block_on(async {
        let (started, is_started) = mpsc::channel();
        tokio::spawn(async move { started.send(()) });
        is_started.recv_timeout(limit).is_ok()
    })
}

#[test]
fn on_several_threads_a_task_may_start_before_the_next_line() {
    let minute = Duration::from_secs(60);
    assert!(starts_at_once(Builder::new_multi_thread(), minute));
}

#[test]
fn on_one_thread_a_task_starts_at_the_next_await() {
    let short = Duration::from_millis(200);
    assert!(!starts_at_once(Builder::new_current_thread(), short));
}
