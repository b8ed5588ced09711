//! Loops and threads: what asyncio ties to one loop and its thread, a runtime does not.
//!
//! The first of two callbacks blocks its thread until the second one has begun. So an
//! order that is open shows in each run.
//!
//! asyncio: loop.call_soon, loop.call_at, asyncio.Handle.cancel, asyncio.Runner.run
//! differs: tasks run at the same time, and what they share belongs to no loop

use std::panic;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, Notify, oneshot};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use crate::support::scheduled_callbacks::{TimerHandle, call_at, call_soon};
use crate::support::{millis, try_together};

/// A callback waits for another one for so long, where asyncio never runs it.
const WHILE: Duration = Duration::from_secs(30);

fn runtime(threads: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder
        .worker_threads(threads)
        .enable_all()
        .build()
        .unwrap()
}

/// Runs it in the context of a runtime of two threads, but on neither of them.
async fn beside(probe: impl FnOnce(&Runtime) -> String + Send + 'static) -> String {
    let told = spawn_blocking(|| {
        let runtime = runtime(2);
        let _entered = runtime.enter();
        probe(&runtime)
    });
    match told.await {
        Ok(told) => told,
        Err(error) => panic::resume_unwind(error.into_panic()),
    }
}

// Order.

type Callback = Box<dyn FnOnce() + Send>;

fn overlap(schedule: impl Fn(Callback)) -> String {
    let ((begins, begun), (tell, told)) = (mpsc::channel(), mpsc::channel());
    schedule(Box::new(move || {
        let _ = tell.send(begun.recv_timeout(WHILE).is_ok());
    }));
    schedule(Box::new(move || {
        let _ = begins.send(());
    }));
    let overlap = told.recv().unwrap();
    format!("the second begins before the first ends: {overlap}")
}

fn soon(_: &Runtime) -> String {
    overlap(|callback| drop(call_soon(callback)))
}

fn at_the_same_time(_: &Runtime) -> String {
    let when = Instant::now() + millis(50);
    overlap(move |callback| drop(call_at(when, callback)))
}

fn cancels_the_second(_: &Runtime) -> String {
    let ((begins, begun), (tell, told)) = (mpsc::channel(), mpsc::channel());
    let (hand, handed) = mpsc::channel::<TimerHandle>();
    let when = Instant::now() + millis(50);
    call_at(when, move || {
        let second = handed.recv().unwrap();
        let has_begun = begun.recv_timeout(WHILE).is_ok();
        second.cancel();
        let _ = tell.send(has_begun);
    });
    let second = call_at(when, move || {
        let _ = begins.send(());
    });
    hand.send(second).unwrap();
    format!("the cancelled one runs: {}", told.recv().unwrap())
}

fn abort_unstarted(_: &Runtime) -> String {
    let (begins, begun) = mpsc::channel();
    let task = tokio::spawn(async move { begins.send(()) });
    let has_begun = begun.recv_timeout(WHILE).is_ok();
    task.abort();
    format!("it has run: {has_begun}")
}

// What belongs to a loop.

fn lock_of_another(first: &Runtime) -> String {
    let lock = Arc::new(Mutex::new(()));
    for runtime in [first, &runtime(1)] {
        runtime.block_on(async {
            let held = lock.lock().await;
            let waiter = Arc::clone(&lock);
            let waiter = tokio::spawn(async move { drop(waiter.lock().await) });
            drop(held);
            waiter.await.unwrap();
        });
    }
    "runs".to_owned()
}

fn task_of_another(first: &Runtime) -> String {
    let task = first.spawn(async { "returns" });
    runtime(1).block_on(task).unwrap().to_owned()
}

fn no_task(first: &Runtime) -> String {
    let ended = first.block_on(async { timeout(millis(20), sleep(WHILE)).await });
    ["runs", "times out"][usize::from(ended.is_err())].to_owned()
}

fn from_another_thread(first: &Runtime) -> String {
    let handle = first.handle().clone();
    let task = thread::spawn(move || handle.spawn(async { "runs" }));
    first.block_on(task.join().unwrap()).unwrap().to_owned()
}

async fn without_a_loop() -> String {
    let spawn = || drop(JoinSet::new().spawn(async {}));
    match thread::spawn(spawn).join() {
        Ok(()) => "runs".to_owned(),
        Err(payload) => panic::resume_unwind(payload),
    }
}

fn stopped(first: &Runtime) -> String {
    let stop = Notify::new();
    stop.notify_one();
    first
        .block_on(async {
            tokio::select! {
                () = sleep(WHILE) => "ends",
                () = stop.notified() => "returns",
            }
        })
        .to_owned()
}

fn no_coroutine(first: &Runtime) -> String {
    let (sender, receiver) = oneshot::channel();
    sender.send("runs").unwrap();
    first.block_on(receiver).unwrap().to_owned()
}

// Threads of the pool.

fn own_pool(first: &Runtime) -> String {
    let name = || thread::current().name().map(str::to_owned);
    let name = first.block_on(async { spawn_blocking(name).await.unwrap() });
    format!("a thread of {}", name.unwrap())
}

async fn shut_down_the_pool() -> String {
    let runtime = runtime(1);
    runtime.spawn_blocking(|| thread::sleep(millis(50)));
    runtime.shutdown_timeout(WHILE);
    "the call has ended, the loop keeps running".to_owned()
}

// Time.

/// Tells whether a hundred sleeps take longer than 50 ms, in the best of five rounds.
async fn short_sleeps(delay: Duration) -> String {
    let mut best = WHILE;
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..100 {
            sleep(delay).await;
        }
        best = best.min(start.elapsed());
    }
    format!("a hundred take over 50 ms: {}", best > millis(50))
}

#[tokio::main]
async fn main() {
    try_together! { millis(3_000),
        "loop.call_soon.in-order" => beside(soon),
        "loop.call_at.equal-in-order" => beside(at_the_same_time),
        "handle.cancel.due-at-the-same-time" => beside(cancels_the_second),
        "task.cancel.unstarted-never-runs@threads" => beside(abort_unstarted),
        "condition.loop.other-refused" => beside(lock_of_another),
        "task.await.other-loop-refused" => beside(task_of_another),
        "timeout.task.is-needed" => beside(no_task),
        "loop.debug.checks-thread" => beside(from_another_thread),
        "as_completed.loop.needed" => without_a_loop(),
        "loop.stop.before-end" => beside(stopped),
        "loop.stop.ends-run" => beside(stopped),
        "runner.run.coroutine-only" => beside(no_coroutine),
        "loop.executor.own" => beside(own_pool),
        "loop.shutdown_default_executor.keeps-loop" => shut_down_the_pool(),
        "sleep-zero.no-timer" => short_sleeps(Duration::ZERO),
        "sleep.small.no-busy-loop" => short_sleeps(Duration::from_micros(100)),
    }
}

//@ clock: real
