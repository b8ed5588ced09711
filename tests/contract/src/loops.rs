//! Loop, threads, contexts, signals: what CPython's tests ask of them, on a runtime.
//!
//! Callbacks are those of the component `scheduled_callbacks`. What needs its own loop
//! runs in a separate thread.
//!
//! asyncio: asyncio.run, asyncio.Runner, loop.call_later, loop.add_signal_handler
//! asyncio: asyncio.to_thread, loop.run_in_executor, contextvars.ContextVar
//! differs: a runtime drops what is left, and a task has nothing of its creator

#![cfg(unix)]

use std::cell::RefCell;
use std::hint::black_box;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::support::blocking_in_threads::BlockingPool;
use crate::support::scheduled_callbacks::{call_at, call_later, call_soon};
use crate::support::{millis, settle, try_together};

tokio::task_local! {
    static NAME: String;
    static CHANGED: RefCell<String>;
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Returns whether a call panics.
fn refused<T>(call: impl FnOnce() -> T) -> String {
    match panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(_) => "runs",
        Err(_) => "is refused",
    }
    .to_owned()
}

/// Runs it in a separate thread, as it needs its own runtime.
async fn in_thread(call: impl FnOnce() -> String + Send + 'static) -> String {
    spawn_blocking(call).await.unwrap()
}

// Callbacks and their delays.

async fn later() -> String {
    let (start, done) = (Instant::now(), Arc::new(Notify::new()));
    let own = Arc::clone(&done);
    call_later(millis(50), move || own.notify_one());
    done.notified().await;
    format!("after 0.05 s: {}", start.elapsed() >= millis(49))
}

async fn at_past() -> String {
    let done = Arc::new(Notify::new());
    let (own, past) = (
        Arc::clone(&done),
        Instant::now().checked_sub(millis(10_000)),
    );
    call_at(past.unwrap(), move || own.notify_one());
    done.notified().await;
    "is called".to_owned()
}

async fn cancelled_twice() -> String {
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    let handle = call_later(millis(20), move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    handle.cancel();
    handle.cancel();
    sleep(millis(100)).await;
    format!("called {} times", called.load(Ordering::SeqCst))
}

async fn when() -> String {
    let handle = call_later(millis(10_000), || {});
    let left = handle.when() - Instant::now();
    handle.cancel();
    format!("in 10 s: {}", left > millis(9000) && left <= millis(10_000))
}

async fn failing_callback() -> String {
    let called = Arc::new(AtomicBool::new(false));
    let own = Arc::clone(&called);
    call_soon(|| assert_eq!(black_box(1), 0));
    call_soon(move || own.store(true, Ordering::SeqCst));
    settle().await;
    format!("the next one is called: {}", called.load(Ordering::SeqCst))
}

async fn immediately(sleeping: impl Future<Output = ()>) -> String {
    let start = Instant::now();
    sleeping.await;
    format!("returns immediately: {}", start.elapsed() < millis(5000))
}

async fn called_after(delay: Duration) {
    let done = Arc::new(Notify::new());
    let own = Arc::clone(&done);
    call_later(delay, move || own.notify_one());
    done.notified().await;
}

async fn negative_delay() -> String {
    immediately(called_after(Duration::from_secs_f64(black_box(-1.0)))).await
}

async fn negative_delay_try() -> String {
    let delay = Duration::try_from_secs_f64(black_box(-1.0)).unwrap_or_default();
    immediately(called_after(delay)).await
}

async fn negative_difference() -> String {
    let (interval, elapsed) = (black_box(millis(10)), black_box(millis(20)));
    immediately(sleep(interval - elapsed)).await
}

async fn difference_saturating() -> String {
    let (interval, elapsed) = (black_box(millis(10)), black_box(millis(20)));
    immediately(sleep(interval.saturating_sub(elapsed))).await
}

async fn difference_until() -> String {
    let started = Instant::now().checked_sub(millis(20)).unwrap();
    immediately(sleep_until(started + millis(10))).await
}

async fn threadsafe() -> String {
    let (handle, done) = (Handle::current(), Arc::new(Notify::new()));
    let own = Arc::clone(&done);
    thread::spawn(move || {
        thread::sleep(millis(50));
        handle.spawn(async move { own.notify_one() });
    });
    done.notified().await;
    "the loop wakes".to_owned()
}

async fn handle_of_closed() -> String {
    let (handle, spawned) = {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let handle = runtime.handle().clone();
        spawn_blocking(move || drop(runtime)).await.unwrap();
        (handle.clone(), handle.spawn(async {}))
    };
    drop(handle);
    match spawned.await {
        Ok(()) => "runs",
        Err(_) => "is dropped",
    }
    .to_owned()
}

// Running a loop.

async fn run_returns() -> String {
    in_thread(|| {
        let value = runtime().block_on(async { 42 });
        let error = runtime().block_on(async { Err::<(), _>("spam") });
        format!("{value}, {}", error.unwrap_err())
    })
    .await
}

async fn nested_run() -> String {
    in_thread(|| {
        let inner = runtime();
        runtime().block_on(async { refused(|| inner.block_on(async {})) })
    })
    .await
}

async fn closes_running() -> String {
    in_thread(|| runtime().block_on(async { refused(|| drop(runtime())) })).await
}

async fn no_running_loop() -> String {
    let told = thread::spawn(|| refused(Handle::current));
    told.join().unwrap()
}

/// Notes its drop.
struct Noted(Arc<Mutex<Vec<&'static str>>>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.lock().unwrap().push("cleans up");
    }
}

async fn left_tasks() -> String {
    let told = Arc::new(Mutex::new(Vec::new()));
    let own = Arc::clone(&told);
    let run = move || {
        let runtime = runtime();
        runtime.block_on(async {
            tokio::spawn(async move {
                let noted = Noted(Arc::clone(&own));
                sleep(millis(10_000)).await;
                drop(noted);
                settle().await;
                own.lock().unwrap().push("awaits");
            });
            settle().await;
        });
    };
    spawn_blocking(run).await.unwrap();
    let told = told.lock().unwrap();
    told.join(", ")
}

async fn runner_keeps_context() -> String {
    let change = async || match CHANGED.try_with(|name| name.replace("alice".into())) {
        Ok(before) => before,
        Err(_) => "nothing".to_owned(),
    };
    in_thread(move || {
        let runtime = runtime();
        let scope = CHANGED.scope(RefCell::new("nobody".to_owned()), change());
        let first = runtime.block_on(scope);
        format!("{first}, {}", runtime.block_on(change()))
    })
    .await
}

async fn several_runs() -> String {
    in_thread(|| {
        let runtime = runtime();
        let one = async || 1;
        (runtime.block_on(one()) + runtime.block_on(one())).to_string()
    })
    .await
}

async fn exit_in_task() -> String {
    in_thread(|| {
        let run = || {
            runtime().block_on(async {
                tokio::spawn(async { assert_eq!(black_box(3), 0) });
                sleep(millis(50)).await;
                "main keeps running"
            })
        };
        let ended = panic::catch_unwind(run);
        ended.unwrap_or("run ends").to_owned()
    })
    .await
}

async fn stop_and_run_again() -> String {
    in_thread(|| {
        let runtime = runtime();
        let started = runtime.spawn(async { "done" });
        runtime.block_on(async {});
        let told = runtime.block_on(started).unwrap();
        format!("the loop runs again: {told}")
    })
    .await
}

// Threads.

async fn to_thread_returns() -> String {
    let own = thread::current().id();
    let other = spawn_blocking(|| thread::current().id()).await.unwrap();
    format!("another thread: {}", own != other)
}

async fn to_thread_raises() -> String {
    match spawn_blocking(|| "x".parse::<i32>()).await.unwrap() {
        Ok(_) => "no error",
        Err(_) => "the error arrives",
    }
    .to_owned()
}

async fn to_thread_lazy() -> String {
    let called = Arc::new(AtomicBool::new(false));
    let own = Arc::clone(&called);
    let _call = spawn_blocking(move || own.store(true, Ordering::SeqCst));
    sleep(millis(100)).await;
    format!("runs without an await: {}", called.load(Ordering::SeqCst))
}

async fn to_thread_many() -> String {
    let barrier = Arc::new(Barrier::new(3));
    let calls = [(); 3].map(|()| {
        let barrier = Arc::clone(&barrier);
        spawn_blocking(move || {
            barrier.wait();
        })
    });
    for call in calls {
        call.await.unwrap();
    }
    "three run at the same time".to_owned()
}

fn sees() -> String {
    let name = NAME.try_with(String::clone);
    format!("sees {}", name.unwrap_or_else(|_| "nothing".to_owned()))
}

async fn to_thread_context() -> String {
    let call = async { spawn_blocking(sees).await.unwrap() };
    NAME.scope("alice".to_owned(), call).await
}

/// Whether a call runs that waits for a thread when its caller gives up.
async fn queued_call<F>(stop: fn(JoinHandle<()>) -> F) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let called = Arc::new(AtomicBool::new(false));
    let own = Arc::clone(&called);
    let run = move || {
        let mut builder = Builder::new_current_thread();
        let runtime = builder
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async move {
            let first = spawn_blocking(|| thread::sleep(millis(500)));
            stop(spawn_blocking(move || own.store(true, Ordering::SeqCst))).await;
            first.await.unwrap();
            spawn_blocking(|| {}).await.unwrap();
        });
    };
    spawn_blocking(run).await.unwrap();
    format!("runs: {}", called.load(Ordering::SeqCst))
}

async fn time_out(call: JoinHandle<()>) {
    assert!(timeout(millis(50), call).await.is_err());
}

async fn abort(call: JoinHandle<()>) {
    sleep(millis(50)).await;
    call.abort();
}

async fn queued_call_component() -> String {
    let (pool, called) = (BlockingPool::new(1), Arc::new(AtomicBool::new(false)));
    let (first, own) = (pool.clone(), Arc::clone(&called));
    let first =
        tokio::spawn(async move { first.run(|| thread::sleep(millis(500))).await });
    settle().await;
    let second = pool.run(move || own.store(true, Ordering::SeqCst));
    assert!(timeout(millis(50), second).await.is_err());
    first.await.unwrap().unwrap();
    pool.run(|| {}).await.unwrap();
    format!("runs: {}", called.load(Ordering::SeqCst))
}

async fn started_call_stays() -> String {
    let done = Arc::new(Notify::new());
    let own = Arc::clone(&done);
    time_out(spawn_blocking(move || {
        thread::sleep(millis(200));
        own.notify_one();
    }))
    .await;
    let ended = timeout(millis(30_000), done.notified()).await.is_ok();
    format!("ends its work: {ended}")
}

async fn run_waits_for_threads() -> String {
    let done = Arc::new(AtomicUsize::new(0));
    let own = Arc::clone(&done);
    let run = move || {
        runtime().block_on(async {
            for _ in 0..3 {
                let own = Arc::clone(&own);
                spawn_blocking(move || {
                    thread::sleep(millis(100));
                    own.fetch_add(1, Ordering::SeqCst);
                });
            }
            settle().await;
        });
    };
    spawn_blocking(run).await.unwrap();
    format!("{} of 3 calls have ended", done.load(Ordering::SeqCst))
}

// Contexts.

async fn set_in_callee() -> String {
    async fn callee() {
        CHANGED.with(|name| name.replace("alice".to_owned()));
    }
    let caller = async {
        callee().await;
        CHANGED.with(|name| format!("the caller sees {}", name.borrow()))
    };
    CHANGED
        .scope(RefCell::new("nobody".to_owned()), caller)
        .await
}

async fn copied_to_task() -> String {
    let child = async { tokio::spawn(async { sees() }).await.unwrap() };
    format!("the task {}", NAME.scope("alice".to_owned(), child).await)
}

async fn copied_to_task_scope() -> String {
    let child = async {
        let child = NAME.scope(NAME.get(), async { sees() });
        tokio::spawn(child).await.unwrap()
    };
    format!("the task {}", NAME.scope("alice".to_owned(), child).await)
}

async fn set_in_task() -> String {
    let parent = async {
        let copy = CHANGED.with(RefCell::clone);
        let child = CHANGED.scope(copy, async {
            CHANGED.with(|name| name.replace("bob".to_owned()));
        });
        tokio::spawn(child).await.unwrap();
        CHANGED.with(|name| format!("the parent sees {}", name.borrow()))
    };
    CHANGED
        .scope(RefCell::new("alice".to_owned()), parent)
        .await
}

async fn two_tasks() -> String {
    let work = async || {
        settle().await;
        NAME.get()
    };
    let both = ["alice", "bob"].map(|own| NAME.scope(own.to_owned(), work()));
    futures::future::join_all(both).await.join(" ")
}

async fn scope_ends() -> String {
    let inside = NAME.sync_scope("alice".to_owned(), || NAME.get());
    let after = NAME.try_with(String::clone);
    format!(
        "{inside} inside, {} after",
        after.as_deref().unwrap_or("nobody")
    )
}

// Signals.

/// Raises signals while no task waits for them.
fn raise(signal: Signal, count: usize) {
    for _ in 0..count {
        kill_process(getpid(), signal).unwrap();
    }
    thread::sleep(millis(50));
}

/// Returns how often `recv` returns.
async fn received(kind: SignalKind, raised: Signal, count: usize) -> usize {
    let mut signals = signal(kind).unwrap();
    spawn_blocking(move || raise(raised, count)).await.unwrap();
    let mut called = 0;
    while timeout(millis(300), signals.recv()).await.is_ok() {
        called += 1;
    }
    called
}

async fn signal_calls() -> String {
    let called = received(SignalKind::user_defined1(), Signal::USR1, 1).await;
    format!("called: {}", called == 1)
}

async fn signal_each() -> String {
    let called = received(SignalKind::user_defined2(), Signal::USR2, 5).await;
    format!("five signals, called {called} times")
}

async fn signal_two_handlers() -> String {
    let handlers = [(); 2].map(|()| signal(SignalKind::hangup()).unwrap());
    spawn_blocking(|| raise(Signal::HUP, 1)).await.unwrap();
    let mut called = 0;
    for mut handler in handlers {
        called += usize::from(timeout(millis(300), handler.recv()).await.is_ok());
    }
    format!("{called} of 2 handlers are called")
}

async fn signal_refused() -> String {
    match signal(SignalKind::from_raw(Signal::KILL.as_raw())) {
        Ok(_) => "runs",
        Err(_) => "is refused",
    }
    .to_owned()
}

async fn signal_in_thread() -> String {
    in_thread(|| {
        runtime()
            .block_on(async { refused(|| signal(SignalKind::window_change()).unwrap()) })
    })
    .await
}

#[tokio::main]
async fn main() {
    try_together! { millis(3_000),
        "loop.call_later.after-delay" => later(),
        "loop.call_at.past-is-now" => at_past(),
        "handle.cancel.twice" => cancelled_twice(),
        "timer_handle.when.tells" => when(),
        "loop.call_soon.failure-spares-next" => failing_callback(),
        "loop.call_later.negative-is-now" => negative_delay(),
        "loop.call_later.negative-is-now@try_from_secs_f64" => negative_delay_try(),
        "sleep.negative-difference.returns" => negative_difference(),
        "sleep.negative-difference.returns@saturating_sub" => difference_saturating(),
        "sleep.negative-difference.returns@sleep_until" => difference_until(),
        "loop.call_soon_threadsafe.wakes" => threadsafe(),
        "loop.close.refuses-callbacks" => handle_of_closed(),
        "run.value-and-error" => run_returns(),
        "run.nested-refused" => nested_run(),
        "loop.close.running-refused" => closes_running(),
        "get_running_loop.none-refused" => no_running_loop(),
        "run.left-tasks-clean-up" => left_tasks(),
        "runner.run.keeps-context" => runner_keeps_context(),
        "runner.run.several" => several_runs(),
        "run.exit-in-task-ends-it" => exit_in_task(),
        "loop.stop.runs-again" => stop_and_run_again(),
        "to_thread.another-thread" => to_thread_returns(),
        "to_thread.error-arrives" => to_thread_raises(),
        "to_thread.lazy" => to_thread_lazy(),
        "to_thread.many-together" => to_thread_many(),
        "to_thread.takes-context" => to_thread_context(),
        "run_in_executor.timeout-cancels-queued" => queued_call(time_out),
        "run_in_executor.timeout-cancels-queued@BlockingPool" => queued_call_component(),
        "run_in_executor.cancelled-queued-never-runs@abort" => queued_call(abort),
        "run_in_executor.started-call-stays" => started_call_stays(),
        "run.waits-for-threads" => run_waits_for_threads(),
        "context.set-in-callee@RefCell" => set_in_callee(),
        "context.copied-to-task" => copied_to_task(),
        "context.copied-to-task@scope" => copied_to_task_scope(),
        "context.set-in-task-stays-there@scope" => set_in_task(),
        "context.each-task-its-own@scope" => two_tasks(),
        "context.reset-at-end@scope" => scope_ends(),
        "signal.handler.called" => signal_calls(),
        "signal.handler.called-for-each" => signal_each(),
        "signal.handler.second-replaces-first" => signal_two_handlers(),
        "signal.handler.kill-refused" => signal_refused(),
        "signal.handler.main-thread-only" => signal_in_thread(),
    }
}

//@ clock: real
