use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::timeout_of_blocking_work::{run_blocking, run_blocking_for};

const LONG: Duration = Duration::from_secs(120);

#[test]
fn a_runtime_that_is_dropped_waits_for_blocking_work() {
    let runtime = Runtime::new().expect("a runtime");
    let (report, reported) = channel();
    runtime.spawn_blocking(move || {
        report.send("begun").expect("the test waits");
        thread::sleep(Duration::from_millis(100));
        report.send("ended").expect("the test waits");
    });
    assert_eq!(reported.recv_timeout(LONG), Ok("begun"));
    drop(runtime);
    assert_eq!(reported.try_recv(), Ok("ended"));
}

#[test]
fn dropped_they_set_the_flag() {
    let runtime = Runtime::new().expect("a runtime");
    for with_limit in [false, true] {
        let (report, reported) = channel();
        let work = move |stop: &tokio_util::sync::CancellationToken| {
            report.send("begun").expect("the test waits");
            for _ in 0..5_000 {
                if stop.is_cancelled() {
                    return report.send("stopped").expect("the test waits");
                }
                thread::sleep(Duration::from_millis(1));
            }
        };
        let task = runtime.spawn(async move {
            if with_limit {
                run_blocking_for(LONG, work).await
            } else {
                run_blocking(work).await
            }
        });
        assert_eq!(reported.recv_timeout(LONG), Ok("begun"));
        let runs_on = reported.recv_timeout(Duration::from_millis(20));
        assert_eq!(runs_on, Err(RecvTimeoutError::Timeout));
        task.abort();
        assert_eq!(reported.recv_timeout(LONG), Ok("stopped"));
    }
}

#[tokio::test]
async fn a_panic_is_an_error() {
    let panicked = run_blocking(|_| -> u32 { panic!("scheduled") }).await;
    assert!(panicked.is_err_and(|error| error.is_panic()));
    let panicked = run_blocking_for(LONG, |_| -> u32 { panic!("scheduled") }).await;
    assert!(panicked.is_err_and(|error| error.is_panic()));
}

#[tokio::test]
async fn after_the_timeout_the_flag_is_set_and_the_value_is_not_lost() {
    let work = |stop: &tokio_util::sync::CancellationToken| {
        let begun = Instant::now();
        while !stop.is_cancelled() && begun.elapsed() < LONG {
            thread::sleep(Duration::from_millis(1));
        }
        // It takes some time to end.
        thread::sleep(Duration::from_millis(50));
        stop.is_cancelled().then_some(7)
    };
    let value = run_blocking_for(Duration::from_millis(20), work).await;
    assert_eq!(value.expect("no panic"), Some(7));
    // And without a timeout, no flag.
    let value = run_blocking_for(LONG, |stop| stop.is_cancelled()).await;
    assert!(!value.expect("no panic"));
}
