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

/// What `Bounds` says.
#[test]
fn at_most_512_blocking_calls_run_and_the_next_one_waits() {
    use std::sync::mpsc::channel;
    use std::sync::{Arc, RwLock};
    use std::time::Duration;

    let limit = Duration::from_secs(60);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("it builds");
    let (begin, begun) = channel();
    let gate = Arc::new(RwLock::new(()));
    let closed = gate.write().expect("no panic");
    for number in 0..=512 {
        let (begin, gate) = (begin.clone(), Arc::clone(&gate));
        runtime.spawn_blocking(move || {
            begin.send(number).expect("it is received");
            drop(gate.read());
        });
    }
    for _ in 0..512 {
        let number = begun.recv_timeout(limit).expect("there is a thread");
        assert_ne!(number, 512, "the calls begin in their order");
    }
    assert!(begun.recv_timeout(Duration::from_millis(100)).is_err());
    drop(closed);
    assert_eq!(begun.recv_timeout(limit), Ok(512));
}

/// In a separate process, as the other tests share their environment.
#[test]
fn a_thread_for_each_core_unless_the_environment_or_the_code_says_otherwise() {
    use std::env;
    use std::process::Command;

    use tokio::runtime::Builder;

    const CHILD: &str = "BUILD_A_RUNTIME_CHILD";
    const THREADS: &str = "TOKIO_WORKER_THREADS";
    if env::var_os(CHILD).is_some() {
        let threads = |builder: &mut Builder| {
            let runtime = builder.build().expect("it builds");
            runtime.metrics().num_workers()
        };
        let by_default = match env::var(THREADS) {
            Ok(number) => number.parse().expect("a number"),
            Err(_) => std::thread::available_parallelism().map_or(1, usize::from),
        };
        assert_eq!(threads(&mut Builder::new_multi_thread()), by_default);
        let mut builder = Builder::new_multi_thread();
        assert_eq!(threads(builder.worker_threads(5)), 5);
        return;
    }
    let (_crate, module) = module_path!().split_once("::").expect("a module");
    let name = "a_thread_for_each_core_unless_the_environment_or_the_code_says_otherwise";
    for number in [None, Some("3")] {
        let mut command = Command::new(env::current_exe().expect("a path"));
        command.args(["--exact", &format!("{module}::{name}")]);
        command.env(CHILD, "1").env_remove(THREADS);
        command.envs(number.map(|number| (THREADS, number)));
        let output = command.output().expect("it starts");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        assert!(text.contains("1 passed"), "{text}");
    }
}
