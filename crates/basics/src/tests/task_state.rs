use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
