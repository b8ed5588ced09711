//! The hook is one for the whole process: other tests' panics come as well, so each test
//! looks for its own texts.

use std::panic::resume_unwind;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::timeout;

use crate::panic_hook::{Report, detach, report_panics};

/// Taking the hook and setting the next one is no one step.
static SET_HOOK: Mutex<()> = Mutex::const_new(());

async fn next(reports: &mut mpsc::Receiver<Report>, text: &str) -> Report {
    let wait = async {
        loop {
            let report = reports.recv().await.expect("there is a sender");
            if report.text.contains(text) {
                return report;
            }
        }
    };
    let limit = Duration::from_secs(60);
    timeout(limit, wait).await.expect("a report")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_panic_is_one_report_with_its_task_and_place() {
    let _alone = SET_HOOK.lock().await;
    let (sender, mut reports) = mpsc::channel(10_000);
    report_panics(&sender);
    for _ in 0..31 {
        detach("fixed", &sender, async {
            yield_now().await;
            panic!("a fixed text");
            #[expect(unreachable_code, reason = "it names the type of the error")]
            Ok::<(), String>(())
        });
        let report = next(&mut reports, "a fixed text").await;
        assert_eq!(report.task, "fixed");
        assert!(report.place.contains("panic_hook.rs:"), "{}", report.place);
    }

    detach("formatted", &sender, async {
        assert_eq!(std::hint::black_box(1), 2, "formatted text");
        Ok::<(), String>(())
    });
    let report = next(&mut reports, "formatted text").await;
    assert_eq!(report.task, "formatted");
    assert!(report.text.contains("right: 2"), "{}", report.text);

    // Threads for blocking code and plain threads have no name.
    spawn_blocking(|| panic!("blocking text"))
        .await
        .expect_err("a panic");
    assert_eq!(next(&mut reports, "blocking text").await.task, "no name");
    let thread = std::thread::spawn(|| panic!("text of a thread"));
    thread.join().expect_err("a panic");
    assert_eq!(next(&mut reports, "text of a thread").await.task, "no name");

    // A panic that is passed on is reported once.
    let panic = tokio::spawn(async { panic!("passed on") }).await;
    let payload = panic.expect_err("a panic").into_panic();
    let passed = tokio::spawn(async { resume_unwind(payload) });
    passed.await.expect_err("a panic");
    assert_eq!(next(&mut reports, "passed on").await.task, "no name");
    while let Ok(report) = reports.try_recv() {
        assert_ne!(report.text, "passed on");
    }
}

#[tokio::test]
async fn an_error_names_the_line_that_has_spawned_the_task() {
    let (sender, mut reports) = mpsc::channel(1);
    let line = line!() + 1;
    detach("failing", &sender, async { Err("too heavy") });
    let report = reports.recv().await.expect("a report");
    assert_eq!(
        (report.task, report.text.as_str()),
        ("failing", "too heavy")
    );
    assert!(report.place.contains(&format!("panic_hook.rs:{line}:")));
    detach("good", &sender, async { Ok::<(), String>(()) });
    drop(sender);
    assert!(reports.recv().await.is_none());
}

#[tokio::test]
async fn full_or_without_a_receiver_the_hook_still_calls_the_previous_one() {
    let _alone = SET_HOOK.lock().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let (count, previous) = (Arc::clone(&calls), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() == Some("full or closed") {
            count.fetch_add(1, Ordering::Relaxed);
        }
        previous(panic);
    }));
    let (full, mut reports) = mpsc::channel(1);
    report_panics(&full);
    let (closed, receiver) = mpsc::channel(1);
    report_panics(&closed);
    drop(receiver);
    for _ in 0..3 {
        let task = tokio::spawn(async { panic!("full or closed") });
        task.await.expect_err("a panic");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 3);
    assert!(reports.try_recv().is_ok());
    assert!(reports.try_recv().is_err(), "the others were dropped");
}

#[tokio::test]
async fn a_second_call_reports_each_panic_twice() {
    let _alone = SET_HOOK.lock().await;
    let (sender, mut reports) = mpsc::channel(10_000);
    let mut counts = Vec::new();
    for _ in 0..2 {
        report_panics(&sender);
        let task = tokio::spawn(async { panic!("once or twice") });
        task.await.expect_err("a panic");
        let mut count = 0;
        while let Ok(report) = reports.try_recv() {
            count += u32::from(report.text == "once or twice");
        }
        counts.push(count);
    }
    assert_eq!(counts, [1, 2]);
}

/// What `Bounds` says: no task waits next to a full channel.
#[tokio::test]
async fn errors_beyond_the_bound_are_dropped() {
    let (sender, mut reports) = mpsc::channel(100);
    for _ in 0..1000 {
        detach("failing", &sender, async { Err("too heavy") });
    }
    let end = async {
        while Handle::current().metrics().num_alive_tasks() > 0 {
            yield_now().await;
        }
    };
    let limit = Duration::from_secs(30);
    timeout(limit, end).await.expect("no task waits to report");
    drop(sender);
    let mut received = 0;
    while reports.recv().await.is_some() {
        received += 1;
    }
    assert_eq!(received, 100);
}

/// A graceful end: the receiver sees the last panic, and then the end.
#[tokio::test]
async fn the_hook_does_not_keep_the_channel_open() {
    let _alone = SET_HOOK.lock().await;
    let (sender, mut reports) = mpsc::channel(10_000);
    report_panics(&sender);
    let task = tokio::spawn(async { panic!("the last words") });
    task.await.expect_err("a panic");
    drop(sender);
    let mut texts = Vec::new();
    let receive = async {
        while let Some(report) = reports.recv().await {
            texts.push(report.text);
        }
    };
    let limit = Duration::from_secs(30);
    timeout(limit, receive)
        .await
        .expect("the channel is closed");
    assert!(texts.contains(&"the last words".to_owned()));
}

/// The words of the trap.
#[test]
fn a_panic_in_the_hook_aborts() {
    if std::env::var_os("PANIC_IN_THE_HOOK").is_some() {
        std::panic::set_hook(Box::new(|_| panic!("in the hook")));
        panic!("the first");
    }
    let run = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "tests::panic_hook::a_panic_in_the_hook_aborts"])
        .arg("--nocapture")
        .env("PANIC_IN_THE_HOOK", "1")
        .output()
        .expect("the test runs");
    let said = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), None, "{said}");
    let words = "thread panicked while processing panic. aborting.";
    assert!(said.contains(words), "{said}");
}
