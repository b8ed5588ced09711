use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use crate::request_handler::{ApiError, CallCache, Response};

fn kept(cache: &CallCache) -> usize {
    cache.calls.lock().expect("nobody panics").len()
}

async fn count(begun: Arc<AtomicU32>) -> Result<Response, ApiError> {
    let number = begun.fetch_add(1, SeqCst) + 1;
    yield_now().await;
    assert!(number > 1, "the first panics");
    Ok(number.to_string().into())
}

#[tokio::test]
async fn a_panic_is_an_error_and_not_kept() {
    let (calls, begun) = (CallCache::default(), Arc::default());
    let first = calls.get("/", count(Arc::clone(&begun))).await;
    assert_eq!(first, Err(ApiError::Panicked));
    for _ in 0..2 {
        let second = calls.get("/", count(Arc::clone(&begun))).await;
        assert_eq!(second, Ok("2".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_nobody_waited_for_is_not_kept() {
    let (calls, begun) = (CallCache::default(), Arc::new(AtomicU32::new(1)));
    let first = calls.get("/", async {
        sleep(Duration::from_secs(2)).await;
        Err(ApiError::Database)
    });
    let first = timeout(Duration::from_secs(1), first).await;
    assert!(first.is_err(), "it gave up");
    sleep(Duration::from_secs(2)).await;
    let second = calls.get("/", count(begun)).await;
    assert_eq!(second, Ok("2".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_ask_and_some_leave() {
    let calls = Arc::new(CallCache::default());
    let begun = Arc::new(AtomicU32::new(1));
    let mut set = JoinSet::new();
    for number in 0..10_000 {
        let (calls, begun) = (Arc::clone(&calls), Arc::clone(&begun));
        let task = set.spawn(async move {
            let endpoint = (number % 7).to_string();
            calls.get(&endpoint, count(begun)).await.is_ok()
        });
        if number % 10 == 0 {
            task.abort();
        }
    }
    while let Some(answered) = set.join_next().await {
        assert!(answered.unwrap_or(true), "an error, and there is none");
    }
    assert_eq!(begun.load(SeqCst), 8, "one call for each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_failure_is_kept_for_keys_that_never_come_again() {
    let calls = Arc::new(CallCache::default());
    for number in [0, 1, 31, 129, 1_000] {
        let mut set = JoinSet::new();
        for user in 0..number {
            let calls = Arc::clone(&calls);
            set.spawn(async move {
                let endpoint = format!("/users/{user}");
                let missing = ApiError::NotFound(endpoint.clone());
                let failing = async move {
                    assert!(user % 3 != 0, "scheduled");
                    yield_now().await;
                    Err(missing)
                };
                calls.get(&endpoint, failing).await.is_err()
            });
        }
        assert!(set.join_all().await.into_iter().all(|failed| failed));
        assert_eq!(kept(&calls), 0, "of {number}");
    }
    let call = async { Ok("kept".into()) };
    assert!(calls.get("/", call).await.is_ok());
    assert_eq!(kept(&calls), 1);
}

/// The first caller leaves when the call has been woken within its own poll.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_caller_that_leaves_takes_no_wake_up_with_it() {
    for _ in 0..20 {
        let (calls, has_ended) = (CallCache::default(), Arc::new(AtomicBool::new(false)));
        let (ended, mut is_woken) = (Arc::clone(&has_ended), false);
        let woken_early = poll_fn(move |context| {
            if is_woken {
                return Poll::Ready(());
            }
            is_woken = true;
            // Unlike `yield_now`, which wakes when the poll is over.
            context.waker().wake_by_ref();
            std::thread::sleep(Duration::from_millis(10));
            Poll::Pending
        });
        let call = calls.get("/", async move {
            woken_early.await;
            ended.store(true, SeqCst);
            Ok("x".into())
        });
        assert_eq!(call.now_or_never(), None);
        let ends = async {
            while !has_ended.load(SeqCst) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        let ends = timeout(Duration::from_secs(60), ends).await;
        assert!(ends.is_ok(), "nobody wakes the call");
    }
}

/// As in tests that share a cache in a `static`: each has its own runtime.
#[test]
fn a_call_that_its_runtime_has_dropped_is_made_again() {
    let (calls, begun) = (CallCache::default(), Arc::new(AtomicU32::new(1)));
    let runtime = || tokio::runtime::Runtime::new().expect("there are threads");
    let first = calls.get("/", std::future::pending());
    assert_eq!(runtime().block_on(async { first.now_or_never() }), None);
    let second = calls.get("/", count(begun));
    assert_eq!(runtime().block_on(second), Ok("2".into()));
}
