use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

// A test runs on one thread, as asyncio does, so the task cannot have begun.
#[tokio::test]
async fn a_task_aborted_before_it_began_never_runs() {
    let began = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&began);
    let task = tokio::spawn(async move { flag.store(true, Ordering::Relaxed) });
    task.abort();
    assert!(task.await.expect_err("it was aborted").is_cancelled());
    assert!(!began.load(Ordering::Relaxed));
}

/// The trap: another thread starts the task, though this one awaits nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_several_threads_its_first_lines_may_run_before_the_abort() {
    let (began, has_begun) = mpsc::channel();
    let task = tokio::spawn(async move {
        began.send(()).expect("it is received");
        pending::<()>().await;
    });
    let limit = Duration::from_secs(60);
    has_begun.recv_timeout(limit).expect("its first line runs");
    task.abort();
    assert!(task.await.expect_err("it was aborted").is_cancelled());
}
