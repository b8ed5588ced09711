#[tokio::test]
#[should_panic(
    expected = "Cannot drop a runtime in a context where blocking is not allowed"
)]
async fn a_runtime_is_not_dropped_in_async_code() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    drop(runtime);
}

#[tokio::test]
async fn shutdown_background_waits_for_nothing() {
    let (release, released) = std::sync::mpsc::channel::<()>();
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("it builds");
    let call = runtime.spawn_blocking(move || released.recv().is_err());
    runtime.shutdown_background();
    // The call has not ended: it waits for this line.
    drop(release);
    assert!(call.await.unwrap_or(true));
}

#[test]
fn shutdown_timeout_waits_but_not_for_ever() {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    for limit in [Duration::from_secs(20), Duration::from_millis(20)] {
        let (begin, begun) = channel();
        let (release, released) = channel::<()>();
        let (end, ended) = channel();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("it builds");
        runtime.spawn_blocking(move || {
            let _ = begin.send(());
            let _ = released.recv();
            let _ = end.send(());
        });
        begun.recv().expect("the call begins");
        let later = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(release);
        });
        runtime.shutdown_timeout(limit);
        let is_long = limit > Duration::from_secs(1);
        assert_eq!(ended.try_recv().is_ok(), is_long);
        later.join().expect("it does not panic");
    }
}

#[test]
#[should_panic(expected = "timers are disabled")]
fn a_runtime_without_enable_all_has_no_timers() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime
        .expect("it builds")
        .block_on(crate::build_a_runtime::hello());
}
