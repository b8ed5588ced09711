//! Tasks: cancellation, `sleep`, `shield` and the context, by CPython's tests.
//!
//! The counterpart is the handle that `tokio::spawn` returns, unless the clause names
//! another one behind an `@`. What the body of `main` is, is tried in `main_body`.
//!
//! asyncio: asyncio.create_task, asyncio.Task.cancel, asyncio.shield, asyncio.sleep
//! asyncio: asyncio.ensure_future, asyncio.create_task(context=)
//! differs: a cancelled future is dropped, and a handle does not own its task

use std::future::pending;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::support::task_group::task_group;
use crate::support::{Log, millis, settle, try_out};

// Cancel.

/// A task that notes that it has come to its end.
fn working(log: &Log, name: &'static str) -> JoinHandle<()> {
    let log = log.clone();
    tokio::spawn(async move {
        sleep(millis(100)).await;
        log.note(name);
    })
}

async fn cancel_sleeping() -> String {
    let task = working(&Log::default(), "went on");
    settle().await;
    task.abort();
    settle().await;
    let done = task.is_finished();
    let cancelled = task.await.is_err_and(|error| error.is_cancelled());
    format!("done: {done}, cancelled: {cancelled}")
}

async fn cancel_done() -> String {
    let task = tokio::spawn(async { 42 });
    settle().await;
    task.abort();
    let value = task.await;
    value.map_or("cancelled".to_owned(), |value| format!("returns {value}"))
}

async fn cancel_twice() -> String {
    let task = working(&Log::default(), "went on");
    settle().await;
    task.abort();
    task.abort();
    let cancelled = task.await.is_err_and(|error| error.is_cancelled());
    format!("cancelled: {cancelled}")
}

async fn cancel_unstarted() -> String {
    let log = Log::default();
    let own = log.clone();
    let task = tokio::spawn(async move { own.note("started") });
    task.abort();
    let cancelled = task.await.is_err_and(|error| error.is_cancelled());
    format!("cancelled: {cancelled}; [{}]", log.told())
}

/// Starts a task whose body cancels it, and then does what `then` returns.
fn cancelling_itself<F, T>(then: F) -> JoinHandle<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let slot: Arc<OnceLock<AbortHandle>> = Arc::default();
    let own = Arc::clone(&slot);
    let task = tokio::spawn(async move {
        settle().await;
        own.get().unwrap().abort();
        then.await
    });
    slot.set(task.abort_handle()).unwrap();
    task
}

async fn cancel_itself_then_wait() -> String {
    let log = Log::default();
    let own = log.clone();
    let task = cancelling_itself(async move {
        own.note("goes on until its await");
        sleep(millis(10)).await;
        own.note("goes on behind it");
    });
    let cancelled = task.await.is_err_and(|error| error.is_cancelled());
    format!("cancelled: {cancelled}; {}", log.told())
}

async fn cancel_itself_then_return() -> String {
    let value = cancelling_itself(async { 12 }).await;
    value.map_or("cancelled".to_owned(), |value| format!("returns {value}"))
}

async fn cancel_awaited_task(owned: bool) -> String {
    let log = Log::default();
    let inner = working(&log, "the inner goes on");
    let outer = tokio::spawn(async move {
        if owned {
            AbortOnDropHandle::new(inner).await
        } else {
            inner.await
        }
    });
    settle().await;
    outer.abort();
    sleep(millis(200)).await;
    format!("[{}]", log.told())
}

async fn cancel_awaited_future() -> String {
    let (sender, receiver) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        match receiver.await {
            Ok(()) => "a value",
            Err(_) => "the task goes on with an error",
        }
    });
    settle().await;
    drop(sender);
    task.await.unwrap_or("the task is cancelled").to_owned()
}

async fn cleanup_waits() -> String {
    struct Cleanup(Log);
    impl Drop for Cleanup {
        fn drop(&mut self) {
            self.0.note("the clean-up begins");
            let log = self.0.clone();
            // It cannot await, so it spawns.
            tokio::spawn(async move {
                sleep(millis(20)).await;
                log.note("the clean-up ends");
            });
        }
    }
    let log = Log::default();
    let cleanup = Cleanup(log.clone());
    let task = tokio::spawn(async move {
        let _cleanup = cleanup;
        pending::<()>().await;
    });
    settle().await;
    task.abort();
    let _ = task.await;
    log.note("the task has ended");
    sleep(millis(50)).await;
    log.told()
}

async fn own_timeout() -> String {
    let log = Log::default();
    let own = log.clone();
    let task = tokio::spawn(async move {
        let ended = tokio::time::timeout(millis(20), sleep(millis(100))).await;
        own.note(format!("timed out: {}", ended.is_err()));
        sleep(millis(10)).await;
        own.note("the task goes on");
    });
    let cancelled = task.await.is_err();
    format!("{}; cancelled: {cancelled}", log.told())
}

async fn cancelled_as_it_fails() -> String {
    let log = Log::default();
    let own = log.clone();
    let parent = tokio::spawn(async move {
        let _ = task_group(|group| async move {
            group.spawn(async {
                sleep(millis(20)).await;
                Err::<(), _>("the error")
            });
            Ok(())
        })
        .await;
        sleep(millis(100)).await;
        own.note("the parent goes on");
    });
    sleep(millis(20)).await;
    parent.abort();
    let cancelled = parent.await.is_err_and(|error| error.is_cancelled());
    format!("cancelled: {cancelled}; [{}]", log.told())
}

// Await.

async fn await_twice() -> String {
    let mut task = tokio::spawn(async { 7 });
    let first = (&mut task).await.unwrap();
    let second = (&mut task).await.unwrap();
    format!("{first} and {second}")
}

async fn await_itself() -> String {
    let slot: Arc<Mutex<Option<JoinHandle<()>>>> = Arc::default();
    let own = Arc::clone(&slot);
    let (start, started) = oneshot::channel::<()>();
    let task = tokio::spawn(async move {
        let _ = started.await;
        let itself = own.lock().unwrap().take().unwrap();
        let _ = itself.await;
    });
    let handle = task.abort_handle();
    *slot.lock().unwrap() = Some(task);
    let _ = start.send(());
    settle().await;
    while !handle.is_finished() {
        settle().await;
    }
    "ends".to_owned()
}

async fn error_of_a_task() -> String {
    let task = tokio::spawn(async { Err::<(), _>("the task's own error") });
    task.await.unwrap().unwrap_err().to_owned()
}

async fn wrap_a_task() -> String {
    let log = Log::default();
    let task = working(&log, "the task goes on");
    let wrapped = tokio::spawn(task);
    settle().await;
    wrapped.abort();
    sleep(millis(200)).await;
    format!("[{}]", log.told())
}

async fn forgotten() -> String {
    let log = Log::default();
    drop(working(&log, "the task goes on"));
    sleep(millis(200)).await;
    format!("[{}]", log.told())
}

async fn never_awaited() -> String {
    let log = Log::default();
    let own = log.clone();
    let call = async move { own.note("ran") };
    drop(call);
    settle().await;
    format!("[{}]", log.told())
}

async fn order_of_start() -> String {
    let log = Log::default();
    for name in ["a", "b", "c"] {
        let log = log.clone();
        tokio::spawn(async move { log.note(name) });
    }
    log.note("created");
    settle().await;
    let told = log.told();
    format!("all run after it: {}", told.starts_with("created"))
}

// Context.

tokio::task_local! {
    static NAME: &'static str;
}

async fn context() -> String {
    let read = || NAME.try_with(|name| *name).unwrap_or("nothing");
    let inherited = NAME.scope("outer", async move {
        let task = tokio::spawn(async move { read() });
        task.await.unwrap()
    });
    format!("the task reads {}", inherited.await)
}

async fn context_scope() -> String {
    let read = || NAME.try_with(|name| *name).unwrap_or("nothing");
    let passed = NAME.scope("outer", async move {
        let name = NAME.get();
        let task = tokio::spawn(NAME.scope(name, async move { read() }));
        task.await.unwrap()
    });
    format!("the task reads {}", passed.await)
}

async fn context_of_thread() -> String {
    let read = || NAME.try_with(|name| *name).unwrap_or("nothing");
    let inherited = NAME.scope("outer", async move {
        tokio::task::spawn_blocking(read).await.unwrap()
    });
    format!("the thread reads {}", inherited.await)
}

async fn context_of_thread_scope() -> String {
    let read = || NAME.try_with(|name| *name).unwrap_or("nothing");
    let passed = NAME.scope("outer", async move {
        let name = NAME.get();
        let closure = move || NAME.sync_scope(name, read);
        tokio::task::spawn_blocking(closure).await.unwrap()
    });
    format!("the thread reads {}", passed.await)
}

async fn context_of_the_handler() -> String {
    let (log, hook) = (Log::default(), std::panic::take_hook());
    let own = log.clone();
    std::panic::set_hook(Box::new(move |_| {
        own.note(NAME.try_with(|name| *name).unwrap_or("nothing"));
    }));
    let failing = NAME.scope("the task's", async { panic!("not handled") });
    let _ = tokio::spawn(failing).await;
    std::panic::set_hook(hook);
    format!("the handler reads {}", log.told())
}

async fn context_of_awaited() -> String {
    let read = || NAME.try_with(|name| *name).unwrap_or("nothing");
    let inner = async move { read() };
    format!("the call reads {}", NAME.scope("outer", inner).await)
}

// Sleep.

async fn sleep_float(seconds: f64) -> String {
    sleep(Duration::from_secs_f64(seconds)).await;
    "returns".to_owned()
}

async fn sleep_until_next_turn(saturating: bool) -> String {
    let (interval, took) = (millis(10), millis(20));
    let rest = if saturating {
        interval.saturating_sub(took)
    } else {
        interval - took
    };
    sleep(rest).await;
    "returns".to_owned()
}

async fn sleep_forever() -> String {
    sleep(Duration::MAX).await;
    "returns".to_owned()
}

// Shield.

async fn shield_cancelled() -> String {
    let log = Log::default();
    let inner = working(&log, "the inner goes on");
    let own = log.clone();
    let outer = tokio::spawn(async move {
        let _ = inner.await;
        own.note("the code behind goes on");
    });
    settle().await;
    outer.abort();
    sleep(millis(200)).await;
    log.told()
}

async fn shield_inner_cancelled() -> String {
    let inner = working(&Log::default(), "");
    let handle = inner.abort_handle();
    let outer = tokio::spawn(async move {
        match inner.await {
            Ok(()) => "returns",
            Err(_) => "the code behind goes on, with an error",
        }
    });
    settle().await;
    handle.abort();
    outer.await.unwrap_or("the outer is cancelled").to_owned()
}

/// As `shield`, but for the moment in which it starts.
async fn shield(call: impl Future<Output = ()> + Send + 'static) {
    let _ = tokio::spawn(call).await;
}

async fn shield_not_awaited() -> String {
    let log = Log::default();
    let own = log.clone();
    drop(shield(async move { own.note("ran") }));
    settle().await;
    format!("[{}]", log.told())
}

#[tokio::main]
async fn main() {
    try_out! { millis(20_000),
        "task.cancel.sleeping" => cancel_sleeping(),
        "task.cancel.done-changes-nothing" => cancel_done(),
        "task.cancel.twice" => cancel_twice(),
        "task.cancel.unstarted-never-runs" => cancel_unstarted(),
        "task.cancel.itself-at-next-await" => cancel_itself_then_wait(),
        "task.cancel.itself-then-return" => cancel_itself_then_return(),
        "task.cancel.awaited-task" => cancel_awaited_task(false),
        "task.cancel.awaited-task@AbortOnDropHandle" => cancel_awaited_task(true),
        "task.cancel.by-awaited-future" => cancel_awaited_future(),
        "task.cancel.waits-for-cleanup" => cleanup_waits(),
        "task_group.error.and-cancel" => cancelled_as_it_fails(),
        "task.uncancel.own-timeout" => own_timeout(),
        "task.await.twice" => await_twice(),
        "task.await.itself-refused" => await_itself(),
        "task.await.raises-its-error" => error_of_a_task(),
        "ensure_future.task-is-itself" => wrap_a_task(),
        "task.forgotten.keeps-running" => forgotten(),
        "coroutine.not-awaited.never-runs" => never_awaited(),
        "create_task.starts-later" => order_of_start(),
        "context.task.inherits" => context(),
        "context.task.inherits@scope" => context_scope(),
        "context.thread.inherits" => context_of_thread(),
        "context.thread.inherits@sync_scope" => context_of_thread_scope(),
        "handler.context" => context_of_the_handler(),
        "context.await.is-the-same" => context_of_awaited(),
        "sleep.negative.returns" => sleep_float(-0.5),
        "sleep.negative.returns@difference" => sleep_until_next_turn(false),
        "sleep.negative.returns@saturating_sub" => sleep_until_next_turn(true),
        "sleep.nan.refused" => sleep_float(f64::NAN),
        "sleep.infinite.forever" => sleep_float(f64::INFINITY),
        "sleep.infinite.forever@MAX" => sleep_forever(),
        "shield.cancel-outer.inner-runs" => shield_cancelled(),
        "shield.cancel-inner.cancels-outer" => shield_inner_cancelled(),
        "shield.not-awaited.inner-runs" => shield_not_awaited(),
    }
}

//@ python: 3.13
