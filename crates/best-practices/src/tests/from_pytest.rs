use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use reqwest::StatusCode;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};
use tracing::instrument::WithSubscriber;
use tracing::warn;

use crate::from_pytest::{FakeService, capture_logs};

const LIMIT: Duration = Duration::from_secs(30);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[tokio::test]
async fn a_dropped_service_accepts_no_more() -> Result<(), BoxError> {
    let service = FakeService::start(StatusCode::OK, Duration::ZERO).await?;
    let users = service.users(LIMIT)?;
    assert!(users.exists("ada").await?);
    let another = service.users(LIMIT)?;
    drop(service);
    // The aborted task drops the listener when it runs next.
    let stops = async {
        while another.exists("ada").await.is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(20), stops).await?;
    let refused = another.exists("ada").await.expect_err("it has stopped");
    assert!(refused.is_connect(), "{refused:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_fake_records_a_thousand_requests() -> Result<(), BoxError> {
    let service = FakeService::start(StatusCode::NO_CONTENT, Duration::ZERO).await?;
    assert!(service.requests().is_empty());
    let users = Arc::new(service.users(LIMIT)?);
    let mut tasks = JoinSet::new();
    for task in 0..10 {
        let users = Arc::clone(&users);
        tasks.spawn(async move {
            for number in 0..100 {
                assert!(users.exists(&format!("{task}-{number}")).await.is_ok());
            }
        });
    }
    tasks.join_all().await;
    let mut requests = service.requests();
    requests.sort();
    requests.dedup();
    assert_eq!(requests.len(), 1000);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_captures_do_not_mix() {
    let mut tasks = JoinSet::new();
    for number in 0..1000 {
        tasks.spawn(async move {
            let logs = capture_logs(async {
                warn!("{number} begins");
                yield_now().await;
                warn!("{number} ends");
            });
            let expected = [format!("{number} begins"), format!("{number} ends")];
            assert_eq!(logs.await, ((), expected.to_vec()));
        });
    }
    tasks.join_all().await;
}

/// In a separate process: in this one, other tests have subscribers.
#[test]
fn a_line_that_another_test_runs_first_is_captured() {
    fn line() {
        warn!("the line");
    }

    const ALONE: &str = "CAPTURE_ALONE";
    if std::env::var_os(ALONE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime");
        let ((), logs) = runtime.block_on(capture_logs(async {
            // A test that captures nothing.
            std::thread::spawn(line).join().expect("no panic");
            line();
        }));
        assert_eq!(logs, ["the line"]);
        return;
    }
    let name = "tests::from_pytest::a_line_that_another_test_runs_first_is_captured";
    let run = std::process::Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", name])
        .env(ALONE, "1")
        .output()
        .expect("the test runs");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn a_spawned_task_logs_elsewhere() -> Result<(), BoxError> {
    let (joined, logs) = capture_logs(async {
        tokio::spawn(async { warn!("lost") }).await?;
        tokio::spawn(async { warn!("kept") }.with_current_subscriber()).await
    })
    .await;
    joined?;
    assert_eq!(logs, ["kept"]);
    Ok(())
}

/// The trap: the end of the test is not reached.
#[tokio::test]
async fn a_failed_assertion_skips_the_close() {
    struct Resource {
        closed: Arc<AtomicBool>,
        dropped: Arc<AtomicBool>,
    }

    impl Resource {
        async fn close(&self) {
            self.closed.store(true, SeqCst);
        }
    }

    impl Drop for Resource {
        fn drop(&mut self) {
            self.dropped.store(true, SeqCst);
        }
    }

    for (two, closed) in [(2, true), (3, false)] {
        let (is_closed, is_dropped) = (Arc::default(), Arc::default());
        let resource = Resource {
            closed: Arc::clone(&is_closed),
            dropped: Arc::clone(&is_dropped),
        };
        let test = tokio::spawn(async move {
            assert_eq!(1 + 1, two, "scheduled");
            resource.close().await;
        });
        assert_eq!(test.await.is_ok(), closed);
        assert_eq!(is_closed.load(SeqCst), closed);
        assert!(is_dropped.load(SeqCst));
    }
}
