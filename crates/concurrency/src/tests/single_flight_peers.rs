//! Further cases after the tests of Go's `singleflight`, of async-lru and of moka.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::support::tasks;
use crate::single_flight::{NoResult, SingleFlight};

const SECOND: Duration = Duration::from_secs(1);

type Group = SingleFlight<&'static str, Result<u32, &'static str>>;

/// Takes a second, and returns how many calls have begun.
fn call(
    begun: &Arc<AtomicU32>,
) -> impl Future<Output = Result<u32, &'static str>> + 'static {
    let begun = Arc::clone(begun);
    async move {
        let number = begun.fetch_add(1, SeqCst) + 1;
        sleep(SECOND).await;
        Ok(number)
    }
}

#[tokio::test(start_paused = true)]
async fn go_a_call_returns_its_value() {
    let group = Group::new();
    assert_eq!(group.run("key", async { Ok(7) }).await, Ok(Ok(7)));
}

#[tokio::test(start_paused = true)]
async fn go_a_call_returns_its_error() {
    let group = Group::new();
    let failed = group.run("key", async { Err("failed") }).await;
    assert_eq!(failed, Ok(Err("failed")));
}

#[tokio::test(start_paused = true)]
async fn go_duplicate_calls_are_one_call() {
    let (group, begun) = (Group::new(), Arc::default());
    let values = join_all((0..100).map(|_| group.run("key", call(&begun)))).await;
    assert!(values.into_iter().all(|value| value == Ok(Ok(1))));
    assert_eq!(begun.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn go_duplicate_calls_share_an_error() {
    let group = Group::new();
    let calls = (0..9).map(|_| {
        group.run("key", async {
            sleep(SECOND).await;
            Err("failed")
        })
    });
    let values = join_all(calls).await;
    assert!(values.into_iter().all(|value| value == Ok(Err("failed"))));
}

#[tokio::test(start_paused = true)]
async fn go_a_result_is_not_kept() {
    let (group, begun) = (Group::new(), Arc::default());
    for number in 1..5 {
        let value = group.run("key", call(&begun)).await;
        assert_eq!(value, Ok(Ok(number)));
    }
}

#[tokio::test(start_paused = true)]
async fn go_two_keys_are_two_calls() {
    let (group, begun) = (Group::new(), Arc::default());
    let both = tokio::join!(group.run("a", call(&begun)), group.run("b", call(&begun)));
    assert_eq!(both, (Ok(Ok(1)), Ok(Ok(2))));
}

#[tokio::test(start_paused = true)]
async fn go_a_late_caller_joins_the_running_call() {
    let (group, begun) = (Group::new(), Arc::default());
    let late = async {
        sleep(SECOND * 9 / 10).await;
        group.run("key", call(&begun)).await
    };
    let both = tokio::join!(group.run("key", call(&begun)), late);
    assert_eq!(both, (Ok(Ok(1)), Ok(Ok(1))));
}

#[tokio::test(start_paused = true)]
async fn go_a_panic_reaches_all_callers_and_wedges_no_key() {
    let (group, begun) = (Group::new(), Arc::default());
    let calls = (0..9).map(|_| {
        group.run("key", async {
            sleep(SECOND).await;
            panic!("scheduled")
        })
    });
    let values = join_all(calls).await;
    assert!(values.into_iter().all(|value| value == Err(NoResult)));
    let next = timeout(60 * SECOND, group.run("key", call(&begun))).await;
    assert_eq!(next, Ok(Ok(Ok(1))));
}

#[tokio::test(start_paused = true)]
async fn go_forgotten_the_first_call_still_ends_for_its_callers() {
    let (group, begun) = (Group::new(), Arc::default());
    let second = async {
        sleep(SECOND / 2).await;
        group.forget(&"key");
        group.run("key", call(&begun)).await
    };
    let third = async {
        // When the first call has ended, the second keeps its key.
        sleep(SECOND * 5 / 4).await;
        group.run("key", call(&begun)).await
    };
    let all = tokio::join!(group.run("key", call(&begun)), second, third);
    assert_eq!(all, (Ok(Ok(1)), Ok(Ok(2)), Ok(Ok(2))));
}

#[tokio::test(start_paused = true)]
async fn go_a_key_that_nobody_loads_is_forgotten_without_effect() {
    let (group, begun) = (Group::new(), Arc::default());
    group.forget(&"key");
    assert_eq!(group.run("key", call(&begun)).await, Ok(Ok(1)));
    group.forget(&"key");
    assert_eq!(group.run("key", call(&begun)).await, Ok(Ok(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn go_on_threads_callers_before_the_end_of_a_call_join_it() {
    let group = Group::new();
    let (begun, (end, ended)) = (Arc::new(AtomicU32::new(0)), oneshot::channel());
    let waits = {
        let begun = Arc::clone(&begun);
        async move {
            begun.fetch_add(1, SeqCst);
            Ok(ended.await.unwrap_or(0))
        }
    };
    let first = group.clone();
    let first = tokio::spawn(async move { first.run("key", waits).await });
    while begun.load(SeqCst) == 0 {
        yield_now().await;
    }
    let mut others = JoinSet::new();
    let joined = Arc::new(AtomicU32::new(0));
    for _ in 0..100 {
        let (group, joined) = (group.clone(), Arc::clone(&joined));
        others.spawn(async move {
            let call = group.run("key", async { Err("a second call") });
            let mut call = std::pin::pin!(call);
            assert!(futures::poll!(call.as_mut()).is_pending());
            joined.fetch_add(1, SeqCst);
            call.await
        });
    }
    while joined.load(SeqCst) < 100 {
        yield_now().await;
    }
    end.send(7).expect("the call waits for it");
    assert_eq!(first.await.expect("no panic"), Ok(Ok(7)));
    let values = others.join_all().await;
    assert!(values.into_iter().all(|value| value == Ok(Ok(7))));
}

#[tokio::test(start_paused = true)]
async fn async_lru_a_cancelled_caller_cancels_no_other() {
    let (group, begun) = (Group::new(), Arc::default());
    let first = timeout(SECOND / 2, group.run("key", call(&begun)));
    let both = tokio::join!(first, group.run("key", call(&begun)));
    assert!(both.0.is_err());
    assert_eq!(both.1, Ok(Ok(1)));
}

#[tokio::test(start_paused = true)]
async fn async_lru_with_all_callers_cancelled_no_task_is_left_at_the_end() {
    let (group, begun) = (Group::new(), Arc::default());
    for _ in 0..9 {
        let cancelled = timeout(SECOND / 100, group.run("key", call(&begun)));
        assert!(cancelled.await.is_err());
    }
    assert_eq!((begun.load(SeqCst), tasks()), (1, 1));
    sleep(2 * SECOND).await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn moka_a_call_outlives_its_caller_differs() {
    let (group, begun) = (Group::new(), Arc::default());
    let first = timeout(SECOND / 2, group.run("key", call(&begun)));
    assert!(first.await.is_err());
    // In moka, this caller would start the call again.
    assert_eq!(group.run("key", call(&begun)).await, Ok(Ok(1)));
}
