//! Cases after the tests of CPython's `ExitStack` and `AsyncExitStack`.

use std::fmt::Display;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::exit_stack::{ExitErrors, ExitStack};

const SECOND: Duration = Duration::from_secs(1);

type Stack = ExitStack<String>;

/// What has happened, in its order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn add(&self, text: impl Display) {
        self.0.lock().expect("no panic").push(text.to_string());
    }

    fn get(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }

    /// Pushes a callback that is logged, and fails if its name begins with "bad".
    fn push(&self, stack: &Stack, name: &'static str) {
        let log = self.clone();
        stack.push(async move {
            log.add(name);
            match name.starts_with("bad") {
                true => Err(name.to_owned()),
                false => Ok(()),
            }
        });
    }
}

/// Returns the messages of the errors.
fn errors<T>(closed: Result<T, ExitErrors<String>>) -> Vec<String> {
    closed.err().map(|errors| errors.0).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn cpython_an_empty_stack_returns_the_value_of_its_body() {
    let stack = Stack::new(&TaskTracker::new());
    assert_eq!(stack.close(Ok(7)).await.ok(), Some(7));
    let stack = Stack::new(&TaskTracker::new());
    let failed = stack.close(Err::<(), _>("failed".to_owned())).await;
    assert_eq!(errors(failed), ["failed"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_callbacks_run_in_reverse() {
    let (stack, log) = (Stack::new(&TaskTracker::new()), Log::default());
    for name in ["a", "b", "c"] {
        log.push(&stack, name);
    }
    assert!(stack.close(Ok(())).await.is_ok());
    assert_eq!(log.get(), ["c", "b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_callbacks_run_after_an_error_of_the_body() {
    let (stack, log) = (Stack::new(&TaskTracker::new()), Log::default());
    log.push(&stack, "a");
    let failed = stack.close(Err::<(), _>("failed".to_owned())).await;
    assert_eq!(
        (errors(failed), log.get()),
        (vec!["failed".to_owned()], vec!["a".to_owned()])
    );
}

#[tokio::test(start_paused = true)]
async fn cpython_a_failing_callback_does_not_stop_the_others() {
    let (stack, log) = (Stack::new(&TaskTracker::new()), Log::default());
    for name in ["a", "bad one", "b", "bad two", "c"] {
        log.push(&stack, name);
    }
    assert_eq!(errors(stack.close(Ok(())).await), ["bad two", "bad one"]);
    assert_eq!(log.get(), ["c", "bad two", "b", "bad one", "a"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_the_context_of_the_errors_is_their_order() {
    let (stack, log) = (Stack::new(&TaskTracker::new()), Log::default());
    log.push(&stack, "bad one");
    log.push(&stack, "bad two");
    let failed = stack.close(Err::<(), _>("body".to_owned())).await;
    let text = failed.expect_err("three errors").to_string();
    assert_eq!(text, "body, then: bad two, then: bad one");
}

#[tokio::test(start_paused = true)]
async fn cpython_a_callback_cannot_suppress_the_error_of_the_body_differs() {
    let (stack, log) = (Stack::new(&TaskTracker::new()), Log::default());
    log.push(&stack, "returns Ok");
    let failed = stack.close(Err::<(), _>("body".to_owned())).await;
    assert_eq!(errors(failed), ["body"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_an_entered_resource_is_closed_once_with_its_function() {
    let (stack, log) = (Stack::new(&TaskTracker::new()), Log::default());
    let noted = log.clone();
    let mut resource = stack.enter(1, async move |resource: u32| {
        noted.add(format_args!("closes {resource}"));
        Ok(())
    });
    *resource += 1;
    drop(resource);
    assert_eq!(log.get(), Vec::<String>::new());
    assert!(stack.close(Ok(())).await.is_ok());
    assert_eq!(log.get(), ["closes 2"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_resources_and_callbacks_share_one_order() {
    let (stack, log) = (Stack::new(&TaskTracker::new()), Log::default());
    log.push(&stack, "a");
    let noted = log.clone();
    drop(stack.enter((), async move |()| {
        noted.add("resource");
        Ok(())
    }));
    log.push(&stack, "b");
    assert!(stack.close(Ok(())).await.is_ok());
    assert_eq!(log.get(), ["b", "resource", "a"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_a_panicking_callback_does_not_stop_the_others() {
    let (stack, log) = (Stack::new(&TaskTracker::new()), Log::default());
    log.push(&stack, "a");
    stack.push(async { panic!("scheduled") });
    log.push(&stack, "b");
    let task = tokio::spawn(stack.close(Ok(())));
    assert!(task.await.is_err_and(|error| error.is_panic()));
    assert_eq!(log.get(), ["b", "a"]);
}

/// In CPython the last exception is raised, with the others as its context.
#[tokio::test(start_paused = true)]
async fn cpython_of_two_panics_the_first_continues_differs() {
    let stack = Stack::new(&TaskTracker::new());
    for text in ["runs last", "runs first"] {
        stack.push(async move { panic!("{text}") });
    }
    let task = tokio::spawn(stack.close(Ok(())));
    let panic = task.await.expect_err("it panics").into_panic();
    let text = panic.downcast_ref::<String>().map(String::as_str);
    assert_eq!(text, Some("runs first"));
}

#[tokio::test(start_paused = true)]
async fn cpython_callbacks_are_awaited_one_after_the_other() {
    let (stack, log) = (Stack::new(&TaskTracker::new()), Log::default());
    for name in ["a", "b"] {
        let log = log.clone();
        stack.push(async move {
            log.add(format_args!("{name} begins"));
            sleep(SECOND).await;
            log.add(format_args!("{name} ends"));
            Ok(())
        });
    }
    assert!(stack.close(Ok(())).await.is_ok());
    assert_eq!(log.get(), ["b begins", "b ends", "a begins", "a ends"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_many_callbacks_do_not_recurse() {
    let stack = Stack::new(&TaskTracker::new());
    let count = Arc::new(Mutex::new(0));
    for _ in 0..10_000 {
        let count = Arc::clone(&count);
        stack.push(async move {
            *count.lock().expect("no panic") += 1;
            Ok(())
        });
    }
    assert!(stack.close(Ok(())).await.is_ok());
    assert_eq!(*count.lock().expect("no panic"), 10_000);
}

#[tokio::test(start_paused = true)]
async fn cpython_pop_all_is_to_return_the_stack() {
    fn open(tracker: &TaskTracker, log: &Log) -> Stack {
        let stack = Stack::new(tracker);
        log.push(&stack, "a");
        stack
    }
    let (tracker, log) = (TaskTracker::new(), Log::default());
    let kept = open(&tracker, &log);
    assert_eq!(log.get(), Vec::<String>::new(), "still open");
    assert!(kept.close(Ok(())).await.is_ok());
    assert_eq!(log.get(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_a_resource_that_fails_to_open_leaves_the_others_to_be_closed() {
    let (stack, log) = (Stack::new(&TaskTracker::new()), Log::default());
    let body = async {
        log.push(&stack, "a");
        Err::<(), _>("cannot open b".to_owned())
    };
    let body = body.await;
    assert_eq!(errors(stack.close(body).await), ["cannot open b"]);
    assert_eq!(log.get(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_a_stack_that_is_dropped_closes_in_a_task_differs() {
    let (tracker, log) = (TaskTracker::new(), Log::default());
    let stack = Stack::new(&tracker);
    for name in ["a", "b"] {
        log.push(&stack, name);
    }
    drop(stack);
    tracker.close();
    tracker.wait().await;
    assert_eq!(log.get(), ["b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_cancelled_in_a_callback_the_rest_still_runs() {
    let (tracker, log) = (TaskTracker::new(), Log::default());
    let stack = Stack::new(&tracker);
    log.push(&stack, "a");
    stack.push(sleep(10 * SECOND).map(Ok));
    log.push(&stack, "b");
    assert!(timeout(SECOND, stack.close(Ok(()))).await.is_err());
    assert_eq!(log.get(), ["b"]);
    tracker.close();
    tracker.wait().await;
    assert_eq!(log.get(), ["b", "a"]);
}
