//! What a cancelled, failing or waiting task can see and do in asyncio, and not here.
//!
//! A future that is dropped runs nothing more but its `Drop`, and an error keeps neither
//! its cause nor its traceback unless you write that.
//!
//! asyncio: asyncio.Task.cancel, asyncio.TaskGroup, asyncio.Condition, asyncio.wait
//! differs: nothing is raised into a future, and nothing is chained by itself

use std::any::type_name_of_val;
use std::error::Error;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::join_all;
use futures::task::noop_waker;
use tokio::io::duplex;
use tokio::sync::{Barrier, Mutex, Notify, Semaphore};
use tokio::task::{JoinHandle, JoinSet, id, yield_now};
use tokio::time::sleep;
use tokio_util::codec::{BytesCodec, Framed};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::exit_stack::{ExitErrors, ExitStack};
use crate::support::task_group::{TaskErrors, TaskGroup, task_group};
use crate::support::two_way_generator::Averager;
use crate::support::wait_with_timeout::wait;
use crate::support::{Log, millis, settle, try_out};

/// Notes its text when it is dropped, where Python has a `finally`.
struct Finally(Log, &'static str);

impl Drop for Finally {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

/// Aborts a task that waits within a `Finally`, and notes what it does after that.
async fn aborted() -> String {
    let log = Log::default();
    let own = log.clone();
    let task = tokio::spawn(async move {
        let _finally = Finally(own.clone(), "the clean-up begins");
        pending::<()>().await;
        own.note("goes on");
    });
    settle().await;
    task.abort();
    settle().await;
    log.note(format!(
        "cancelled: {}",
        task.await.unwrap_err().is_cancelled()
    ));
    log.told()
}

// Locks.

async fn wait_returns() -> String {
    let notify = Notify::new();
    notify.notify_one();
    format!("returns {}", type_name_of_val(&notify.notified().await))
}

/// Whether the lock is held when a waiter ends that is cancelled as it is woken.
async fn cancelled_waiter() -> String {
    let (state, notify) = (Arc::new(Mutex::new(())), Arc::new(Notify::new()));
    let (lock, woken) = (Arc::clone(&state), Arc::clone(&notify));
    let waiter = tokio::spawn(async move {
        woken.notified().await;
        drop(lock.lock().await);
    });
    settle().await;
    let held = state.lock().await;
    notify.notify_one();
    settle().await;
    waiter.abort();
    drop(held);
    let _ = waiter.await;
    format!("ends with the lock held: {}", state.try_lock().is_err())
}

async fn wait_without_lock() -> String {
    let notify = Arc::new(Notify::new());
    let own = Arc::clone(&notify);
    let waiter = tokio::spawn(async move { own.notified().await });
    settle().await;
    notify.notify_one();
    waiter.await.map_or("fails", |()| "is woken").to_owned()
}

async fn held_over_await() -> String {
    let state = Arc::new(std::sync::Mutex::new(()));
    let own = Arc::clone(&state);
    let task = tokio::spawn(async move {
        drop(own.lock());
        settle().await;
    });
    yield_now().await;
    let held = state.try_lock().is_err();
    task.await.unwrap();
    format!("held while it awaits: {held}")
}

async fn releases_and_acquires() -> String {
    let (semaphore, log) = (Arc::new(Semaphore::new(0)), Log::default());
    let (own, waiter) = (Arc::clone(&semaphore), log.clone());
    tokio::spawn(async move {
        let _permit = own.acquire().await;
        waiter.note("the waiter");
    });
    settle().await;
    semaphore.add_permits(2);
    let _permit = semaphore.acquire().await.unwrap();
    log.note("the releaser");
    settle().await;
    log.told()
}

/// The second party passes, and ends the barrier before the first one has left.
async fn half_left() -> String {
    let (barrier, broken) = (Arc::new(Barrier::new(2)), CancellationToken::new());
    let (own, token) = (Arc::clone(&barrier), broken.clone());
    let first =
        tokio::spawn(
            async move { token.run_until_cancelled(own.wait()).await.is_some() },
        );
    settle().await;
    barrier.wait().await;
    broken.cancel();
    format!("the first passes: {}", first.await.unwrap())
}

// Groups.

async fn fail(time: u64) -> Result<(), &'static str> {
    sleep(millis(time)).await;
    Err("the child's error")
}

fn told(outcome: Result<(), TaskErrors<&'static str>>) -> String {
    outcome.map_or_else(|errors| errors.0.join(" + "), |()| "none".to_owned())
}

async fn child_fails_in_the_clean_up() -> String {
    let group = tokio::spawn(task_group(|group: TaskGroup<&str>| async move {
        group.spawn(fail(30));
        let _finally = Finally(Log::default(), "the clean-up");
        pending::<Result<(), _>>().await
    }));
    settle().await;
    group.abort();
    match group.await {
        Ok(outcome) => told(outcome),
        Err(error) => format!("cancelled: {}", error.is_cancelled()),
    }
}

async fn child_and_clean_up_fail() -> String {
    let outcome = task_group(|group| async move {
        group.spawn(fail(10));
        let _finally = Finally(Log::default(), "it has no error");
        pending().await
    });
    told(outcome.await)
}

/// A child fails, and another one panics as it is stopped.
async fn child_and_panic() -> String {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("a bug");
        }
    }
    let outcome = task_group(|group: TaskGroup<&str>| async move {
        group.spawn(async {
            let _panics = Panics;
            pending::<Result<(), _>>().await
        });
        group.spawn(fail(10));
        pending().await
    });
    told(outcome.await)
}

async fn spawned_before() -> String {
    let mut group = JoinSet::new();
    group.spawn(async { "runs" });
    group.join_next().await.unwrap().unwrap().to_owned()
}

async fn group_is_ended() -> String {
    let log = Log::default();
    let mut group = JoinSet::new();
    group.spawn(pending());
    group.abort_all();
    log.note("the body goes on");
    let own = log.clone();
    group.spawn(async move { own.note("a later task runs") });
    while group.join_next().await.is_some() {}
    log.told()
}

// What an error tells.

/// An error that a function makes of another one, as in `raise`.
async fn made_of_another() -> String {
    let error = "x".parse::<u32>();
    cause(
        error
            .map_err(|_| io::Error::other("the second"))
            .unwrap_err(),
    )
}

async fn made_of_a_cancel() -> String {
    let task = tokio::spawn(pending::<()>());
    task.abort();
    cause(
        task.await
            .map_err(|_| io::Error::other("stopped"))
            .unwrap_err(),
    )
}

fn cause(error: io::Error) -> String {
    match error.get_ref().and_then(Error::source) {
        Some(cause) => format!("its cause: {cause}"),
        None => "its cause: none".to_owned(),
    }
}

async fn work(fails: bool) -> io::Result<()> {
    if !fails {
        pending::<()>().await;
    }
    Err(io::Error::other("an error"))
}

async fn names_work(text: String) -> String {
    format!("names the function: {}", text.contains("work"))
}

async fn trace_of_error() -> String {
    let error = tokio::spawn(work(true)).await.unwrap().unwrap_err();
    names_work(format!("{error:?}")).await
}

async fn trace_of_cancel() -> String {
    let task = tokio::spawn(work(false));
    task.abort();
    names_work(format!("{:?}", task.await.unwrap_err())).await
}

async fn stack_of_task() -> String {
    let task: JoinHandle<_> = tokio::spawn(work(false));
    settle().await;
    let told = names_work(format!("{task:?}")).await;
    task.abort();
    told
}

// Time.

async fn wait_to_the_moment() -> String {
    let mut tasks = JoinSet::new();
    tasks.spawn(sleep(millis(50)));
    let done = wait(&mut tasks, millis(50)).await.len();
    format!("{done} done")
}

/// The handles of a cancelled call, and of one that was made.
async fn cancelled_handle() -> String {
    let handle = tokio::spawn(pending::<()>()).abort_handle();
    let called = tokio::spawn(async {}).abort_handle();
    handle.abort();
    settle().await;
    let told = [handle.is_finished(), called.is_finished()];
    format!("cancelled: {}, called: {}", told[0], told[1])
}

// Futures and components.

async fn tasks_of_a_gather() -> String {
    let ids = join_all([(); 3].map(|()| async { id() })).await;
    let others = ids.iter().filter(|it| **it != id()).count();
    format!("{others} of 3 children are tasks")
}

async fn driven_by_hand() -> String {
    let log = Log::default();
    let own = log.clone();
    let mut future = Box::pin(async move {
        let _finally = Finally(own, "cleans up");
        yield_now().await;
    });
    let waker = noop_waker();
    let first = future.as_mut().poll(&mut Context::from_waker(&waker));
    log.note(if first == Poll::Pending {
        "waits"
    } else {
        "is done"
    });
    drop(future);
    log.told()
}

async fn asend_fails() -> String {
    let mut averager = Averager::default();
    let _ = tokio::time::timeout(millis(10), averager.send(10)).await;
    format!("the next answer: {}", averager.send(20).await)
}

async fn exit_sees_the_error() -> String {
    let stack = ExitStack::new(&TaskTracker::new());
    stack.push(async { Ok(()) });
    match stack.close(Err::<(), _>("the body's error")).await {
        Ok(()) => "swallowed".to_owned(),
        Err(ExitErrors(errors)) => errors.join(" + "),
    }
}

async fn marks() -> String {
    let (stream, _peer) = duplex(10);
    let mut framed = Framed::new(stream, BytesCodec::new());
    framed.set_backpressure_boundary(100);
    let waiting = framed.write_buffer().len();
    let mark = framed.backpressure_boundary();
    format!("one mark: {mark}, {waiting} bytes wait")
}

#[tokio::main]
async fn main() {
    try_out! { millis(10_000),
        "event.wait.returns-true" => wait_returns(),
        "condition.wait.cancelled-holds-lock" => cancelled_waiter(),
        "condition.wait.needs-lock" => wait_without_lock(),
        "condition.with.holds-lock" => held_over_await(),
        "semaphore.acquire.woken-before-releaser" => releases_and_acquires(),
        "barrier.reset.half-left" => half_left(),
        "barrier.abort.half-left" => half_left(),
        "task_group.cleanup.child-fails-meanwhile" => child_fails_in_the_clean_up(),
        "task_group.error.child-and-cleanup" => child_and_clean_up_fail(),
        "task_group.cleanup.manager-fails" => child_and_clean_up_fail(),
        "task_group.interrupt.others-in-group" => child_and_panic(),
        "task_group.interrupt.wins" => child_and_panic(),
        "task_group.create_task.before-enter-refused" => spawned_before(),
        "task_group.cancel-method.ends-body" => group_is_ended(),
        "task_group.cancel.may-raise-otherwise" => aborted(),
        "task.cancel.may-be-caught" => aborted(),
        "timeout.cancel.may-be-swallowed" => aborted(),
        "timeout.cleanup.may-wait" => aborted(),
        "wait_for.limit.may-be-ignored" => aborted(),
        "task.error.chained" => made_of_another(),
        "task.cancel.error-has-cause" => made_of_a_cancel(),
        "task.error.traceback" => trace_of_error(),
        "asynccontextmanager.traceback" => trace_of_error(),
        "task.cancel.traceback" => trace_of_cancel(),
        "task.get_stack.frames" => stack_of_task(),
        "wait.timeout.same-moment" => wait_to_the_moment(),
        "handle.cancelled.tells" => cancelled_handle(),
        "eager.gather.task-each" => tasks_of_a_gather(),
        "coroutine.by-hand" => driven_by_hand(),
        "generator.asend.error-ends-it" => asend_fails(),
        "exit_stack.push.sees-error" => exit_sees_the_error(),
        "transport.limits.high-and-low" => marks(),
    }
}
