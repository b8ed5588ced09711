use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{sleep, timeout};

use crate::thread_waits_for_task::wait_or_cancel;

const HOUR: Duration = Duration::from_secs(3_600);

/// How long a task takes that is cancelled before. A test that waits for it fails.
const LONG: Duration = Duration::from_secs(10);

async fn in_a_thread<T: Send + 'static>(
    function: impl FnOnce(&Handle) -> T + Send + 'static,
) -> T {
    let handle = Handle::current();
    let thread = thread::spawn(move || function(&handle));
    let joined = spawn_blocking(|| thread.join()).await.expect("no panic");
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_a_panic_and_a_cancelled_task() {
    in_a_thread(|handle| {
        let task = handle.spawn(async { 7 });
        assert_eq!(
            wait_or_cancel(handle, task, Duration::MAX).expect("a value"),
            7
        );

        let task = handle.spawn(async { sleep(Duration::from_millis(20)).await });
        wait_or_cancel(handle, task, HOUR).expect("before the limit");

        let task = handle.spawn(async { panic!("in the task") });
        let error = wait_or_cancel::<()>(handle, task, HOUR).expect_err("a panic");
        assert!(error.is_panic());

        for limit in [Duration::ZERO, Duration::from_millis(30)] {
            let held = Arc::new(());
            let kept = Arc::clone(&held);
            let task = handle.spawn(async move {
                let _kept = kept;
                sleep(LONG).await;
            });
            let start = Instant::now();
            let error = wait_or_cancel(handle, task, limit).expect_err("too late");
            assert!(error.is_cancelled());
            assert!(start.elapsed() >= limit, "not before the limit");
            assert_eq!(
                Arc::strong_count(&held),
                1,
                "the task has dropped its values"
            );
        }
    })
    .await;
}

/// What `Bounds` says: a task that does not await ends late, and has its value.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_blocks_is_waited_for_beyond_the_limit() {
    in_a_thread(|handle| {
        let (begun, has_begun) = mpsc::channel();
        let limit = Duration::from_millis(1);
        let task = handle.spawn(async move {
            begun.send(()).expect("it is received");
            thread::sleep(20 * limit);
            7
        });
        has_begun.recv().expect("it begins");
        let value = wait_or_cancel(handle, task, limit);
        assert_eq!(value.expect("no await at which to cancel"), 7);
    })
    .await;
}

/// A value that comes at the last moment is not lost: the task is over, or it is
/// cancelled.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_and_tasks_that_end_at_the_limit() {
    let threads = (0..31).map(|number| {
        in_a_thread(move |handle| {
            let task = handle.spawn(async move {
                sleep(Duration::from_millis(number % 3)).await;
                yield_now().await;
                number
            });
            match wait_or_cancel(handle, task, Duration::from_millis(1)) {
                Ok(value) => assert_eq!(value, number),
                Err(error) => assert!(error.is_cancelled()),
            }
        })
    });
    futures::future::join_all(threads).await;
}

#[tokio::test]
#[should_panic(expected = "a runtime of one thread may not run meanwhile")]
async fn it_refuses_a_runtime_of_one_thread() {
    in_a_thread(|handle| {
        let task = handle.spawn(async {});
        let _ = wait_or_cancel(handle, task, HOUR);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[should_panic(expected = "Cannot start a runtime from within a runtime")]
async fn it_panics_in_async_code() {
    let task = tokio::spawn(async {});
    let _ = wait_or_cancel(&Handle::current(), task, HOUR);
}

/// The trap: neither the task nor the timeout of a runtime of one thread gets a turn.
#[test]
fn a_runtime_that_nobody_runs_ends_no_wait() {
    let builder = Builder::new_current_thread().enable_all().build();
    let runtime = builder.expect("a runtime");
    let handle = runtime.handle().clone();
    let (ended, has_ended) = mpsc::channel();
    let thread = thread::spawn(move || {
        let limit = Duration::from_millis(1);
        handle
            .block_on(async { timeout(limit, sleep(HOUR)).await })
            .expect_err("it times out");
        ended.send(()).expect("it is received");
    });
    let ended = has_ended.recv_timeout(Duration::from_millis(200));
    assert!(ended.is_err(), "200 times the limit");
    let joins = async { spawn_blocking(|| thread.join()).await };
    let joined = runtime.block_on(joins).expect("no panic");
    joined.expect("the timeout fires while the runtime runs");
}

#[tokio::test]
#[should_panic(expected = "there is no reactor running")]
async fn a_timeout_outside_of_the_async_block_panics() {
    in_a_thread(|handle| {
        let waited = handle.block_on(timeout(HOUR, async { 7 }));
        waited.expect("in time")
    })
    .await;
}
