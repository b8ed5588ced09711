use std::cell::Cell;
use std::env;
use std::fmt::{self, Display};
use std::mem;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use super::support::{child_of, poll_and_drop};
use crate::exit_stack::{ExitErrors, ExitStack};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

/// What was opened and closed, in this order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(&'static str, u32)>>>);

impl Log {
    fn add(&self, what: &'static str, number: u32) {
        self.0
            .lock()
            .expect("no panic holds it")
            .push((what, number));
    }

    fn take(&self) -> Vec<(&'static str, u32)> {
        mem::take(&mut self.0.lock().expect("no panic holds it"))
    }

    /// Opens in two ticks and closes in two.
    async fn enter<E: Display + Send + 'static>(
        &self,
        stack: &ExitStack<E>,
        number: u32,
        result: Result<(), E>,
    ) {
        sleep(2 * TICK).await;
        self.add("open", number);
        let log = self.clone();
        stack.push(async move {
            sleep(2 * TICK).await;
            log.add("closed", number);
            result
        });
    }
}

/// The body with a stack, as readers write it.
async fn with_exit_stack<T, E: Display + Send + 'static>(
    tracker: &TaskTracker,
    body: impl AsyncFnOnce(&ExitStack<E>) -> Result<T, E>,
) -> Result<T, ExitErrors<E>> {
    let stack = ExitStack::new(tracker);
    let result = body(&stack).await;
    stack.close(result).await
}

async fn all_closed(tracker: &TaskTracker) {
    tracker.close();
    timeout(HOUR, tracker.wait()).await.expect("closings end");
    tracker.reopen();
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await_it_closes_what_was_opened() {
    let mut completed = 0;
    for polls in 0..30 {
        let (log, tracker) = (Log::default(), TaskTracker::new());
        let scope = with_exit_stack(&tracker, async |stack| {
            for number in 0..3 {
                log.enter(stack, number, Ok(())).await;
            }
            sleep(TICK).await;
            Ok::<_, u32>(7)
        });
        let value = poll_and_drop(scope, polls).await;
        completed += usize::from(value.is_some());
        assert!(value.is_none_or(|value| value.is_ok_and(|value| value == 7)));
        all_closed(&tracker).await;
        let (opened, closed): (Vec<_>, Vec<_>) = log
            .take()
            .into_iter()
            .partition(|(what, _)| *what == "open");
        assert!(
            opened
                .iter()
                .map(|(_, number)| *number)
                .eq(0..opened.len() as u32)
        );
        let closed: Vec<_> = closed.iter().rev().map(|(_, number)| *number).collect();
        assert!(
            closed.into_iter().eq(0..opened.len() as u32),
            "{polls} polls"
        );
    }
    assert!(completed > 5, "30 polls are enough");
}

#[tokio::test(start_paused = true)]
async fn a_stack_dropped_by_its_owner_or_in_its_closing_is_closed() {
    for polls in 0..10 {
        for close in [false, true] {
            let (log, tracker) = (Log::default(), TaskTracker::new());
            let stack = ExitStack::<u32>::new(&tracker);
            for number in 0..2 {
                log.enter(&stack, number, Err(number)).await;
            }
            log.take();
            if close {
                poll_and_drop(stack.close(Ok(())), polls).await;
            } else {
                drop(stack);
            }
            all_closed(&tracker).await;
            assert_eq!(log.take(), [("closed", 1), ("closed", 0)]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn errors_come_in_the_order_of_the_closings() {
    let (log, tracker) = (Log::default(), TaskTracker::new());
    for body in [Ok(9), Err(9)] {
        let scope = with_exit_stack(&tracker, async |stack| {
            for (number, result) in [Err(0), Ok(()), Err(2)].into_iter().enumerate() {
                log.enter(stack, number as u32, result).await;
            }
            body
        });
        let Err(ExitErrors(errors)) = scope.await else {
            panic!("two closings fail");
        };
        let mut expected = vec![9, 2, 0];
        expected.drain(..usize::from(body.is_ok()));
        assert_eq!(errors, expected);
        assert_eq!(
            log.take()[3..],
            [("closed", 2), ("closed", 1), ("closed", 0)]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_stops_no_closing() {
    let (log, tracker) = (Log::default(), TaskTracker::new());
    for (in_body, in_closing, expected) in [
        (true, false, "body"),
        (false, true, "closing"),
        (true, true, "body"),
    ] {
        let scope = with_exit_stack(&tracker, async |stack| {
            log.enter(stack, 0, Ok(())).await;
            stack.push(async move {
                assert!(!in_closing, "closing");
                Ok(())
            });
            log.enter(stack, 1, Err(1)).await;
            assert!(!in_body, "body");
            Ok(())
        });
        let panic = AssertUnwindSafe(scope).catch_unwind().await;
        let panic = panic.map(|_| ()).expect_err("it goes on");
        assert_eq!(panic.downcast_ref(), Some(&expected));
        // After a panic of the body the tracker closes.
        assert_eq!(log.take().len(), if in_body { 2 } else { 4 });
        all_closed(&tracker).await;
        let late = if in_body { 2 } else { 0 };
        assert_eq!(log.take().len(), late);
    }
}

#[tokio::test(start_paused = true)]
async fn limits() {
    let tracker = TaskTracker::new();
    let empty = with_exit_stack(&tracker, async |_| Ok::<_, u32>(1)).await;
    assert!(empty.is_ok_and(|value| value == 1));
    drop(ExitStack::<u32>::new(&tracker));
    assert!(tracker.is_empty(), "nothing to do, no task");

    let stack = ExitStack::<u32>::new(&tracker);
    let order = Arc::new(AtomicUsize::new(100_000));
    for number in 0..100_000 {
        let order = Arc::clone(&order);
        stack.push(async move {
            assert_eq!(order.fetch_sub(1, SeqCst), number + 1);
            Ok(())
        });
    }
    stack.close(Ok(())).await.expect("none fails");
    assert_eq!(order.load(SeqCst), 0);
}

#[test]
fn the_runtime_drops_what_nobody_waits_for() {
    for waits in [false, true] {
        let runtime = Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("a runtime");
        let (tracker, ended) = (TaskTracker::new(), Arc::new(AtomicUsize::new(0)));
        let new = async || ExitStack::<u32>::new(&tracker);
        let (stack, late) = (runtime.block_on(new()), runtime.block_on(new()));
        late.push(async { panic!("without a runtime it does not run") });
        for _ in 0..2 {
            let ended = Arc::clone(&ended);
            stack.push(async move {
                sleep(TICK).await;
                ended.fetch_add(1, SeqCst);
                Ok(())
            });
        }
        runtime.block_on(async {
            drop(stack);
            yield_now().await;
            if waits {
                tracker.close();
                tracker.wait().await;
            }
        });
        drop(runtime);
        drop(late);
        assert_eq!(ended.load(SeqCst), if waits { 2 } else { 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_by_a_thread_without_a_runtime() {
    let (log, tracker) = (Log::default(), TaskTracker::new());
    let stack = ExitStack::<u32>::new(&tracker);
    log.enter(&stack, 0, Ok(())).await;
    assert!(thread::spawn(move || drop(stack)).join().is_ok());
    all_closed(&tracker).await;
    assert_eq!(log.take(), [("open", 0), ("closed", 0)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    let (open, opened) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let tracker = TaskTracker::new();
    let mut set = JoinSet::new();
    for number in 0..10_000_u32 {
        let (open, opened, tracker) =
            (Arc::clone(&open), Arc::clone(&opened), tracker.clone());
        let task = set.spawn(async move {
            let scope = with_exit_stack(&tracker, async |stack| {
                for step in 0..3 {
                    open.fetch_add(1, SeqCst);
                    opened.fetch_add(1, SeqCst);
                    let open = Arc::clone(&open);
                    stack.push(async move {
                        yield_now().await;
                        open.fetch_sub(1, SeqCst);
                        assert!(number % 100 != 3, "scheduled");
                        // Otherwise many are printed.
                        let fails =
                            number % 7 == 3 && number % 5 != 0 && number % 10 != 9;
                        if fails { Err(step) } else { Ok(()) }
                    });
                    if number % 3 > 0 {
                        yield_now().await;
                    }
                }
                if number % 11 == 0 {
                    Err(number)
                } else {
                    Ok(number)
                }
            });
            match number % 5 {
                0 => timeout(Duration::from_micros(100), scope).await.is_ok(),
                _ => scope.await.is_ok(),
            }
        });
        if number % 10 == 9 {
            task.abort();
        }
    }
    let mut ended = [0, 0];
    let all = async {
        while let Some(outcome) = set.join_next().await {
            ended[usize::from(outcome.is_err_and(|error| error.is_panic()))] += 1;
        }
        tracker.close();
        tracker.wait().await;
    };
    timeout(Duration::from_secs(60), all)
        .await
        .expect("nobody hangs");
    assert_eq!(open.load(SeqCst), 0, "whatever was opened is closed, once");
    assert!(opened.load(SeqCst) > 20_000);
    assert!(ended[0] >= 9900 && ended[1] > 0, "{ended:?}");
}

#[tokio::test]
async fn in_a_struct_in_tasks_with_what_is_only_send() {
    struct OnlySend(Cell<u32>);

    impl Display for OnlySend {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.get().fmt(f)
        }
    }

    struct Session {
        name: String,
        tracker: TaskTracker,
        stack: ExitStack<OnlySend>,
    }

    let tracker = TaskTracker::new();
    let session = Arc::new(Session {
        name: String::from("session"),
        stack: ExitStack::new(&tracker),
        tracker,
    });
    let tasks = (0..4).map(|number| {
        let session = Arc::clone(&session);
        tokio::spawn(async move {
            let error = OnlySend(Cell::new(number));
            session.stack.push(async move { Err(error) });
            let (name, mut calls) = (&session.name, 0);
            let length = with_exit_stack(&session.tracker, async |stack| {
                calls += 1;
                stack.push(async { Ok::<_, u32>(()) });
                yield_now().await;
                Ok(name.len())
            });
            let length = length.await.expect("none fails");
            (length, calls)
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert_eq!(task.await.expect("it does not panic"), (7, 1));
    }
    let session = Arc::into_inner(session).expect("the tasks have ended");
    let Err(failed) = session.stack.close(Ok(())).await else {
        panic!("all fail");
    };
    assert_eq!(failed.0.len(), 4);
}

/// A body changes its resources without a lock. Each is closed as the body has left it.
#[tokio::test(start_paused = true)]
async fn a_resource_is_changed_and_then_closed() {
    let (tracker, log) = (TaskTracker::new(), Log::default());
    for polls in 0..12 {
        let scope = with_exit_stack(&tracker, async |stack| {
            let enter = |number: u32| {
                let log = log.clone();
                stack.enter(number, async move |number| {
                    sleep(TICK).await;
                    log.add("closed", number);
                    Ok::<_, u32>(())
                })
            };
            let (mut first, mut second) = (enter(0), enter(10));
            *second += 1;
            *first += *second;
            sleep(2 * TICK).await;
            *first += 100;
            Ok(())
        });
        let completed = poll_and_drop(scope, polls).await.is_some();
        all_closed(&tracker).await;
        let first = if polls > 2 { 111 } else { 11 };
        let expected = [("closed", 11), ("closed", first)];
        let expected = if polls > 0 { &expected[..] } else { &[] };
        assert_eq!(log.take(), expected, "{polls} polls");
        assert_eq!(completed, polls > 4, "{polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_is_forgotten_holds_up_nothing() {
    let (tracker, log) = (TaskTracker::new(), Log::default());
    let scope = with_exit_stack(&tracker, async |stack| {
        let enter = |number: u32| {
            let log = log.clone();
            stack.enter(number, async move |number| {
                log.add("closed", number);
                Ok::<_, u32>(())
            })
        };
        let (_first, second) = (enter(1), enter(2));
        mem::forget(second);
        Ok(3)
    });
    let value = timeout(HOUR, scope).await.expect("it does not hang");
    assert_eq!(value.expect("none fails"), 3);
    assert_eq!(log.take(), [("closed", 1)]);
    all_closed(&tracker).await;
}

/// As an error, most programs have a trait object, which is not `'static` by its name.
#[tokio::test(start_paused = true)]
async fn errors_of_any_type_in_a_task() {
    #[derive(Debug, thiserror::Error)]
    #[error("mine")]
    struct Mine(#[from] std::num::ParseIntError);

    async fn parse<E>(text: &str) -> Result<u64, ExitErrors<E>>
    where
        E: From<std::num::ParseIntError> + Display + Send + 'static,
    {
        let stack = ExitStack::new(&TaskTracker::new());
        let body = async {
            let text = stack.enter(text.to_owned(), async |text: String| {
                sleep(TICK).await;
                assert!(!text.is_empty());
                Ok(())
            });
            let number = text.parse()?;
            sleep(TICK).await;
            Ok(number)
        };
        let number = body.await;
        stack.close(number).await
    }

    type Boxed = Box<dyn std::error::Error + Send + Sync>;
    let boxed = tokio::spawn(async { parse::<Boxed>(&String::from("7")).await });
    assert_eq!(boxed.await.expect("no panic").expect("a number"), 7);
    let boxed = tokio::spawn(async { parse::<Boxed>("seven").await });
    let error: Boxed = boxed
        .await
        .expect("no panic")
        .expect_err("no number")
        .into();
    assert_eq!(error.to_string(), "invalid digit found in string");
    let mine = tokio::spawn(async { parse::<Mine>("seven").await });
    assert!(mine.await.expect("no panic").is_err());
}

#[tokio::test(start_paused = true)]
async fn a_task_local_is_seen_unless_the_stack_is_dropped() {
    tokio::task_local! {
        static REQUEST: u32;
    }
    for dropped in [false, true] {
        let (tracker, seen) = (TaskTracker::new(), Arc::new(Mutex::new(None)));
        let callback = Arc::clone(&seen);
        let scope = with_exit_stack(&tracker, async |stack| {
            stack.push(async move {
                let request = REQUEST.try_with(|request| *request).ok();
                *callback.lock().expect("no panic holds it") = Some(request);
                Ok::<_, u32>(())
            });
            sleep(TICK).await;
            Ok(())
        });
        let polls = if dropped { 1 } else { 9 };
        REQUEST.scope(7, poll_and_drop(scope, polls)).await;
        all_closed(&tracker).await;
        let expected = if dropped { None } else { Some(7) };
        assert_eq!(*seen.lock().expect("no panic holds it"), Some(expected));
    }
}

/// Set for the process whose standard error is read.
const END: &str = "EXIT_STACK_END";

/// Not a test but the process that the next test starts.
#[tokio::test(start_paused = true)]
async fn child() {
    let Ok(end) = env::var(END) else { return };
    let stack = ExitStack::<&str>::new(&TaskTracker::new());
    match end.as_str() {
        "panics" => stack.push(async { panic!("scheduled") }),
        "dropped" => stack.push(sleep(HOUR).map(Ok)),
        _ => {}
    }
    stack.push(async { Err("tape is stuck") });
    let close = timeout(TICK, stack.close(Err::<(), _>("no work")));
    let closed = AssertUnwindSafe(close).catch_unwind().await;
    assert_eq!(closed.is_err(), end == "panics");
    assert_eq!(
        closed.is_ok_and(|in_time| in_time.is_err()),
        end == "dropped"
    );
}

/// What `close` says of errors that it cannot return.
#[test]
fn errors_are_printed_after_a_panic_and_when_close_is_dropped() {
    for (end, printed) in [("panics", true), ("dropped", true), ("returns", false)] {
        let output = child_of(module_path!()).env(END, end).output();
        let output = output.expect("it starts");
        assert!(output.status.success(), "{end}");
        let text = String::from_utf8_lossy(&output.stderr);
        for line in ["exit stack: no work\n", "exit stack: tape is stuck\n"] {
            assert_eq!(text.contains(line), printed, "{end}: {text}");
        }
    }
}
