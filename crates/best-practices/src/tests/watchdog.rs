use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, spawn_blocking, yield_now};

use crate::watchdog::Watchdog;

const LIMIT: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(120);

fn start() -> (Watchdog, Receiver<String>) {
    let (report, reports) = mpsc::channel();
    let watchdog = Watchdog::start(LIMIT, move |name, _| {
        let _ = report.send(name.to_owned());
    });
    (watchdog, reports)
}

#[test]
fn a_poll_that_never_ends_is_reported_once_and_while_it_runs() {
    let (watchdog, reports) = start();
    let (release, released) = mpsc::channel::<()>();
    let stuck = watchdog.watch("stuck", async move {
        let _ = released.recv();
        yield_now().await;
        released.recv()
    });
    let stuck = thread::spawn(|| {
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(stuck)
    });
    assert_eq!(reports.recv_timeout(LONG).as_deref(), Ok("stuck"));
    assert!(reports.recv_timeout(5 * LIMIT).is_err());
    // The next poll is reported as well.
    assert!(release.send(()).is_ok());
    assert_eq!(reports.recv_timeout(LONG).as_deref(), Ok("stuck"));
    drop(release);
    assert!(stuck.join().expect("it does not panic").is_err());
    drop(watchdog);
    // Its thread has ended, and dropped the sender.
    let ended = reports.recv_timeout(LONG);
    assert_eq!(ended, Err(RecvTimeoutError::Disconnected));
}

#[test]
fn a_report_that_panics_is_not_the_last_one() {
    let (report, reports) = mpsc::channel();
    let watchdog = Watchdog::start(LIMIT, move |name, _| {
        report.send(name.to_owned()).expect("somebody listens");
        assert_ne!(name, "first", "the report panics");
    });
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    for name in ["first", "second"] {
        let reports = &reports;
        let blocks = async { reports.recv_timeout(Duration::from_secs(30)) };
        let blocks = watchdog.watch(name, blocks);
        assert_eq!(runtime.block_on(blocks).as_deref(), Ok(name));
    }
}

/// A blocking call in a thread is no poll, even with the name of the request around it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn spawn_blocking_is_not_reported() {
    let (watchdog, reports) = start();
    let call = spawn_blocking(|| thread::sleep(5 * LIMIT));
    let call = tokio::spawn(watchdog.watch("thumbnail", call));
    call.await.expect("not aborted").expect("it does not panic");
    drop(watchdog);
    assert_eq!(
        reports.recv_timeout(LONG),
        Err(RecvTimeoutError::Disconnected)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_left_of_many_tasks_nor_of_a_panic() {
    let watchdog = Watchdog::start(LONG, |_, _| ());
    let mut tasks = JoinSet::new();
    for number in 0..1000 {
        let task = tasks.spawn(watchdog.watch("task", yield_now()));
        if number % 3 == 0 {
            task.abort();
        }
    }
    while tasks.join_next().await.is_some() {}
    let panics = watchdog.watch("panics", async { panic!("as scheduled") });
    let caught = AssertUnwindSafe(panics).catch_unwind().await;
    assert!(caught.is_err());
    assert!(watchdog.polls.lock().is_empty());
}

#[test]
fn limits_of_zero_and_for_ever() {
    for limit in [Duration::ZERO, Duration::MAX] {
        drop(Watchdog::start(limit, |_, _| ()));
    }
}

#[test]
fn a_poll_is_reported_when_it_has_run_for_the_limit_and_not_before() {
    let limit = 20 * LIMIT;
    let (report, reports) = mpsc::channel();
    let watchdog = Watchdog::start(limit, move |_, ran| {
        let _ = report.send(ran);
    });
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let blocks = watchdog.watch("blocks", async { reports.recv_timeout(LONG) });
    let ran = runtime.block_on(blocks).expect("it is reported");
    assert!(ran >= limit, "{ran:?}");
}
