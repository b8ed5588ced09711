use crate::async_main_with_args::program;
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

#[test]
fn the_program_waits_for_a_blocked_thread() {
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async move {
        let call = spawn_blocking(move || {
            std::thread::sleep(Duration::from_millis(200));
            flag.store(true, Ordering::Relaxed);
        });
        assert!(timeout(Duration::from_millis(50), call).await.is_err());
    });
    assert!(!ended.load(Ordering::Relaxed));
    // As at the end of an async main.
    drop(runtime);
    assert!(ended.load(Ordering::Relaxed));
}

#[tokio::test]
async fn a_wrong_call_has_the_code_2() {
    assert_eq!(program(["tool", "fetch"].map(OsString::from)).await, 2);
    assert_eq!(program(["tool", "--help"].map(OsString::from)).await, 0);
}
