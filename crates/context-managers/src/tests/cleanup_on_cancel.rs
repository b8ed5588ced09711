use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::select;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::support::poll_and_drop;
use crate::cleanup_on_cancel::with_clean_up;

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

/// Counts, after five ticks, which the body must not do at the same time.
async fn clean(body: Arc<()>, cleaned: Arc<AtomicUsize>) {
    assert!(Arc::strong_count(&body) <= 2, "the body is gone");
    sleep(5 * TICK).await;
    cleaned.fetch_add(1, SeqCst);
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    for panics in [false, true] {
        for polls in 0..20 {
            let (tasks, cleaned) = (TaskTracker::new(), Arc::default());
            let alive = Arc::new(());
            let held = Arc::clone(&alive);
            let body = async move {
                sleep(5 * TICK).await;
                assert!(!panics, "scheduled");
                drop(held);
            };
            let clean_up = clean(Arc::clone(&alive), Arc::clone(&cleaned));
            let scope = with_clean_up(&tasks, body, clean_up);
            match poll_and_drop(scope, polls).await {
                Some(ended) => assert_eq!(ended.is_err(), panics),
                None => assert!(polls < 15, "20 polls are enough"),
            }
            tasks.close();
            assert!(timeout(HOUR, tasks.wait()).await.is_ok());
            let expected = usize::from(polls > 0);
            assert_eq!(cleaned.load(SeqCst), expected, "{polls} polls");
            assert_eq!(Arc::strong_count(&alive), 1, "all is dropped");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_runs_though_the_body_has_not_begun() {
    let (tasks, cleaned) = (TaskTracker::new(), Arc::default());
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let body = async move {
        drop(held);
        unreachable!("it is dropped before");
    };
    let clean_up = clean(alive, Arc::clone(&cleaned));
    {
        let mut scope = pin!(with_clean_up::<()>(&tasks, body, clean_up));
        assert!(futures::poll!(scope.as_mut()).is_pending());
    }
    tasks.close();
    assert!(timeout(HOUR, tasks.wait()).await.is_ok());
    assert_eq!(cleaned.load(SeqCst), 1);
}

#[tokio::test]
async fn blocking_work_runs_on_until_the_clean_up_ends_it() {
    let (begin, begun) = oneshot::channel();
    let (end, mut ended) = oneshot::channel();
    let (report, reported) = oneshot::channel();
    let (release, released) = mpsc::channel::<()>();
    let body = async move {
        let work = spawn_blocking(move || {
            let _ = released.recv();
            let _ = end.send(());
        });
        let _ = begin.send(());
        work.await
    };
    let clean_up = async move {
        let before = ended.try_recv();
        drop(release);
        let _ = report.send((before, ended.await));
    };
    let tasks = TaskTracker::new();
    select! {
        biased;
        _ = with_clean_up(&tasks, body, clean_up) => panic!("too early"),
        _ = begun => {}
    }
    assert_eq!(reported.await, Ok((Err(TryRecvError::Empty), Ok(()))));
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_clean_up_is_an_error() {
    let tasks = TaskTracker::new();
    let clean_up = async { panic!("scheduled") };
    let ended = timeout(HOUR, with_clean_up(&tasks, async {}, clean_up)).await;
    assert!(ended.expect("it ends").is_err_and(|error| error.is_panic()));
}

#[test]
fn the_end_of_the_runtime_drops_it() {
    for waits in [false, true] {
        let (cleaned, alive) = (Arc::default(), Arc::new(()));
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let clean_up = clean(Arc::clone(&alive), Arc::clone(&cleaned));
        runtime.block_on(async {
            let tasks = TaskTracker::new();
            let held = Arc::clone(&alive);
            let body = async move { drop(held) };
            let scope = with_clean_up(&tasks, body, clean_up);
            assert!(timeout(TICK, scope).await.is_err());
            tasks.close();
            if waits {
                tasks.wait().await;
            }
        });
        drop(runtime);
        assert_eq!(cleaned.load(SeqCst), usize::from(waits));
    }
}
