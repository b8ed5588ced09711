//! No task is left when `join_or_shut_down` returns, whatever ended it.

use std::future::pending;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::drop_a_join_set::{join_or_drop, join_or_shut_down};

/// Counts down when its task is gone, which takes a while.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        thread::sleep(Duration::from_micros(200));
        self.0.fetch_sub(1, SeqCst);
    }
}

/// So many tasks that never end, next to the one that is given.
fn tasks<F>(count: usize, running: &Arc<AtomicUsize>, last: F) -> JoinSet<F::Output>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        let running = Running::new(running);
        tasks.spawn(async move {
            let _running = running;
            pending().await
        });
    }
    tasks.spawn(last);
    tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_tasks_are_gone_after_an_error_and_after_a_panic() {
    for count in [0, 1, 31, 129, 1000] {
        let running = Arc::new(AtomicUsize::new(0));
        let failing = async { Err(io::Error::other("scheduled")) };
        let error = join_or_shut_down(tasks(count, &running, failing)).await;
        assert_eq!(error.expect_err("an error").to_string(), "scheduled");
        assert_eq!(running.load(SeqCst), 0, "{count}");

        let panicking = async { panic!("scheduled") };
        let error = join_or_shut_down(tasks(count, &running, panicking)).await;
        let error = error.expect_err("a panic").to_string();
        assert!(error.contains("panicked"), "{error}");
        assert_eq!(running.load(SeqCst), 0, "{count}");
    }
}

#[tokio::test]
async fn a_set_without_an_error_is_waited_for() {
    for count in [0, 1, 31, 129, 1000] {
        let done = Arc::new(AtomicUsize::new(0));
        let tasks: JoinSet<io::Result<()>> = (0..count)
            .map(|_| {
                let done = Arc::clone(&done);
                async move {
                    done.fetch_add(1, SeqCst);
                    Ok(())
                }
            })
            .collect();
        assert!(join_or_shut_down(tasks).await.is_ok());
        assert_eq!(done.load(SeqCst), count);
    }
}

/// As in a `TaskGroup`: aborting one task does not stop the others.
#[tokio::test]
async fn an_aborted_task_is_no_failure() {
    for shuts_down in [false, true] {
        let done = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        tasks.spawn(pending::<io::Result<()>>()).abort();
        for _ in 0..31 {
            let done = Arc::clone(&done);
            tasks.spawn(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                done.fetch_add(1, SeqCst);
                Ok(())
            });
        }
        let outcome = if shuts_down {
            join_or_shut_down(tasks).await
        } else {
            join_or_drop(tasks).await
        };
        assert!(outcome.is_ok(), "{outcome:?}");
        assert_eq!(done.load(SeqCst), 31);
    }
}

/// What the header says of a group that is left by `return`: a set is not like it.
#[tokio::test]
async fn a_set_that_goes_out_of_scope_aborts_its_tasks() {
    async fn leave(running: &Arc<AtomicUsize>) -> &'static str {
        let _tasks = tasks(31, running, async { Ok(()) });
        tokio::task::yield_now().await;
        "left by return"
    }
    let running = Arc::new(AtomicUsize::new(0));
    leave(&running).await;
    let gone = async {
        while running.load(SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(Duration::from_secs(30), gone).await.is_ok());
}

// On one thread an aborted task cannot have ended before the next await.
#[tokio::test]
async fn a_dropped_set_is_not_waited_for() {
    let running = Arc::new(AtomicUsize::new(0));
    let failing = async { Err(io::Error::other("scheduled")) };
    assert!(join_or_drop(tasks(31, &running, failing)).await.is_err());
    assert_eq!(running.load(SeqCst), 31);
    let gone = async {
        while running.load(SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(Duration::from_secs(60), gone).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_blocking_task_goes_on_after_an_abort() {
    for shuts_down in [false, true] {
        let ended = Arc::new(AtomicUsize::new(0));
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let count = Arc::clone(&ended);
        let mut tasks = JoinSet::new();
        tasks.spawn_blocking(move || {
            begun.send(()).expect("it is awaited");
            thread::sleep(Duration::from_millis(300));
            count.fetch_add(1, SeqCst);
            io::Result::Ok(())
        });
        has_begun.await.expect("it begins");
        tasks.spawn(async { Err(io::Error::other("scheduled")) });
        if shuts_down {
            assert!(join_or_shut_down(tasks).await.is_err());
            assert_eq!(ended.load(SeqCst), 1);
        } else {
            assert!(join_or_drop(tasks).await.is_err());
            let goes_on = async {
                while ended.load(SeqCst) == 0 {
                    tokio::task::yield_now().await;
                }
            };
            assert!(timeout(Duration::from_secs(60), goes_on).await.is_ok());
        }
    }
}

// On one thread an aborted task cannot have ended before the next await.
#[tokio::test]
async fn dropped_join_or_shut_down_aborts_the_tasks_and_waits_for_none() {
    let running = Arc::new(AtomicUsize::new(0));
    let mut waits = Box::pin(join_or_shut_down(tasks(31, &running, pending())));
    assert!(futures::poll!(&mut waits).is_pending());
    tokio::task::yield_now().await;
    drop(waits);
    assert_eq!(running.load(SeqCst), 31);
    let gone = async {
        while running.load(SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(Duration::from_secs(60), gone).await.is_ok());
}
