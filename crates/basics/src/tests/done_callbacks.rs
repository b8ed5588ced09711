//! A done callback is called after each kind of end, and once.

use std::future::pending;

use futures::FutureExt;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::done_callbacks::add_done_callback;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_value_a_panic_and_an_abort() {
    for end in ["value", "panic", "abort"] {
        let task = tokio::spawn(async move {
            match end {
                "value" => 7,
                "panic" => panic!("scheduled"),
                _ => pending().await,
            }
        });
        let abort = task.abort_handle();
        let (called, is_called) = oneshot::channel();
        add_done_callback(task, |outcome| called.send(outcome).expect("it waits"));
        if end == "abort" {
            abort.abort();
        }
        match (end, is_called.await.expect("it is called")) {
            ("value", outcome) => assert_eq!(outcome.expect("a value"), 7),
            ("panic", outcome) => assert!(outcome.expect_err("a panic").is_panic()),
            (_, outcome) => assert!(outcome.expect_err("an abort").is_cancelled()),
        }
    }
}

#[tokio::test]
async fn a_late_callback_is_called_and_a_removed_one_is_not() {
    let task = tokio::spawn(async { 7 });
    yield_now().await;
    assert!(task.is_finished());
    let (called, is_called) = oneshot::channel();
    add_done_callback(task, |outcome| called.send(outcome).expect("it waits"));
    assert_eq!(is_called.await.expect("called").expect("a value"), 7);

    let (go, may_go) = oneshot::channel::<()>();
    let (ended, has_ended) = oneshot::channel();
    let task = tokio::spawn(async {
        may_go.await.expect("it is sent");
        ended.send(()).expect("it waits");
    });
    let (called, is_called) = oneshot::channel();
    let callback = add_done_callback(task, |outcome| called.send(outcome).expect("-"));
    yield_now().await;
    callback.abort();
    assert!(is_called.await.is_err(), "the callback is gone");
    go.send(()).expect("the task runs on");
    assert!(has_ended.await.is_ok());
}

#[tokio::test]
async fn a_call_in_the_body_of_the_task_never_comes_after_an_abort() {
    let (called, is_called) = oneshot::channel();
    let task = tokio::spawn(async {
        let value: u32 = pending().await;
        called.send(value)
    });
    yield_now().await;
    task.abort();
    assert!(is_called.await.is_err());
}

/// The same holds after a panic, and for `inspect`.
#[tokio::test]
async fn neither_the_end_of_the_body_nor_inspect_calls_after_an_abort_or_a_panic() {
    for end in ["value", "abort", "panic"] {
        let (body, of_the_body) = oneshot::channel();
        let (inspected, by_inspect) = oneshot::channel();
        let work = async move {
            match end {
                "abort" => pending().await,
                "panic" => panic!("scheduled"),
                _ => {}
            }
            body.send(()).expect("it waits");
        };
        let task = tokio::spawn(work.inspect(|()| inspected.send(()).expect("it waits")));
        yield_now().await;
        task.abort();
        let expected = end == "value";
        assert_eq!(of_the_body.await.is_ok(), expected, "{end}");
        assert_eq!(by_inspect.await.is_ok(), expected, "{end}");
    }
}
