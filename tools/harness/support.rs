//! What the tests of several sections need. Each includes the file by its path.
#![allow(dead_code, reason = "not every section needs all of it")]

use std::env;
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

use cpu_time::ThreadTime;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Barrier;
use tokio::task::{JoinSet, unconstrained, yield_now};
use tokio::time::{Instant, sleep, timeout};

/// How many tasks the runtime has that have not ended.
pub fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Polls the future at most `polls` times, a millisecond apart, and drops it if it is
/// not ready then.
pub async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
            return Some(output);
        }
        sleep(Duration::from_millis(1)).await;
    }
    None
}

/// Fails the test if the future is not ready within a time that nothing takes unless it
/// is wedged.
pub async fn soon<F: Future>(future: F) -> F::Output {
    let limit = Duration::from_secs(60);
    timeout(limit, future).await.expect("wedged")
}

/// Runs the future on one thread whose clock is paused.
fn run_alone(future: impl Future<Output = ()>) {
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build();
    runtime.expect("a runtime").block_on(future);
}

/// Fails the test if 10,000 cost more than 30 times as much as 1,000. What counts is the
/// processor's time for this thread, and of each the least of several runs, as the
/// machine may have other work.
pub fn assert_linear(work: impl AsyncFn(u32)) {
    let mut shortest = [Duration::MAX; 2];
    for round in 1.. {
        for (shortest, number) in shortest.iter_mut().zip([1_000, 10_000]) {
            let (start, mut runs) = (ThreadTime::now(), 0);
            // Windows counts a thread's time in steps of 16 ms.
            while runs == 0
                || cfg!(windows) && start.elapsed() < Duration::from_millis(100)
            {
                run_alone(work(number));
                runs += 1;
            }
            *shortest = (start.elapsed() / runs).min(*shortest);
        }
        let times = shortest[1].div_duration_f64(shortest[0]);
        if round >= 3 && times <= 30.0 {
            return;
        }
        assert!(
            round < 20,
            "ten times as many cost {times:.0} times as much"
        );
    }
}

/// Starts so many tasks, and returns when each has had its first turn: with one thread,
/// tasks have it in the order in which they are started.
pub async fn all_wait<F>(number: u32, task: impl Fn(u32) -> F) -> JoinSet<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let tasks = (0..number).map(task).collect();
    let last = tokio::spawn(async {});
    last.await.expect("it does not panic");
    tasks
}

/// The most memory that a future has at one time, with a runtime of one thread whose
/// clock is paused. Other tests do not count.
pub fn most_memory(future: impl Future<Output = ()>) -> u64 {
    allocation_counter::measure(|| run_alone(future)).bytes_max
}

/// Runs the test `child` of this module in a separate process: for what the whole
/// process has, such as memory or open files, or for its end.
pub fn child_of(module: &str) -> Command {
    let (_crate, module) = module.split_once("::").expect("it is not the crate");
    let mut command = Command::new(env::current_exe().expect("there is a path"));
    command.args(["--exact", "--nocapture", &format!("{module}::child")]);
    command
}

/// A kind of fault: interleavings. Makes a component again and again, and lets six tasks
/// call it at the same moment on four threads. `call` asserts the invariant at each step,
/// and `check` after the last.
pub fn interleave<C, Fut>(
    rounds: u32,
    make: impl Fn() -> C,
    call: impl Fn(Arc<C>, usize) -> Fut,
    check: impl AsyncFn(&C),
) where
    C: Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(4).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        for _ in 0..rounds {
            let (component, start) = (Arc::new(make()), Arc::new(Barrier::new(6)));
            let calls = (0..6).map(|caller| {
                let call = call(Arc::clone(&component), caller);
                let start = Arc::clone(&start);
                async move {
                    start.wait().await;
                    call.await;
                }
            });
            soon(calls.collect::<JoinSet<()>>().join_all()).await;
            // Without a budget: when it is used up, a free lock looks taken.
            unconstrained(check(&component)).await;
        }
    });
}

/// A kind of fault: what a closure of the caller does that it should not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    PanicsBeforeItsFuture,
    PanicsInItsFuture,
    Blocks,
    NeverEnds,
}

impl Fault {
    /// Returns the future of the closure.
    pub fn future(self) -> impl Future<Output = ()> + Send + 'static {
        assert_ne!(self, Self::PanicsBeforeItsFuture, "scheduled");
        async move {
            match self {
                Self::Blocks => std::thread::sleep(Duration::from_millis(20)),
                Self::NeverEnds => std::future::pending().await,
                _ => panic!("scheduled"),
            }
        }
    }

    /// Returns the same future, with a result.
    pub fn result<E>(self) -> impl Future<Output = Result<(), E>> + Send + 'static {
        let future = self.future();
        async move {
            future.await;
            Ok(())
        }
    }
}

/// Calls with each fault in a task, and aborts the call that never ends. Then `works` has
/// to return, and no task may be left.
pub async fn survives_faults<Fut>(call: impl Fn(Fault) -> Fut, works: impl AsyncFn())
where
    Fut: Future<Output: Send> + Send + 'static,
{
    use Fault::{Blocks, NeverEnds, PanicsBeforeItsFuture, PanicsInItsFuture};

    for fault in [PanicsBeforeItsFuture, PanicsInItsFuture, Blocks, NeverEnds] {
        let before = tasks();
        let task = tokio::spawn(call(fault));
        if fault == NeverEnds {
            sleep(Duration::from_millis(1)).await;
            task.abort();
        }
        // Whether a panic continues in the caller is a matter of the component.
        let _ = soon(task).await;
        soon(works()).await;
        soon(tasks_are(before)).await;
    }
}

/// A kind of fault: the caller leaves. A thousand calls are dropped at each await; at most
/// `bound` tasks of theirs may live at any time, and none in the end.
pub async fn leaves_no_tasks<F: Future>(bound: usize, call: impl Fn() -> F) {
    let before = tasks();
    for polls in 1..8 {
        for _ in 0..1000 {
            drop(poll_and_drop(call(), polls).await);
            assert!(tasks() <= before + bound, "{} tasks", tasks() - before);
        }
    }
    soon(tasks_are(before)).await;
}

/// Waits until the runtime has so many tasks.
async fn tasks_are(number: usize) {
    while tasks() != number {
        sleep(Duration::from_millis(1)).await;
    }
}

/// A kind of fault: time inside time. `call` gets its own limit, and takes until then. A
/// timeout around it may be shorter, as long and longer, and so may the deadline of a
/// caller that calls again and again: it ends with the earlier of both, and no task is
/// left. After the limit, no loop of calls may keep its thread.
pub async fn time_in_time<F: Future>(call: impl Fn(Duration) -> F) {
    let (before, second) = (tasks(), Duration::from_secs(1));
    for outer in [0, 1, 2, 3].map(|seconds| seconds * second) {
        for limit in [Duration::ZERO, second, 2 * second, Duration::MAX] {
            let start = Instant::now();
            let ended = timeout(outer, call(limit)).await;
            let late = start.elapsed().saturating_sub(outer.min(limit));
            assert!(late <= second / 20, "{late:?} late: {limit:?} in {outer:?}");
            assert!(ended.is_ok() || outer <= limit, "{limit:?} in {outer:?}");
            let mut calls = 0;
            let again = async {
                loop {
                    call(limit).await;
                    calls += 1;
                    assert!(calls < 10_000, "it never suspends: {limit:?}");
                }
            };
            match limit.is_zero() {
                true => assert!(futures::poll!(pin!(again)).is_pending()),
                false => assert!(timeout(outer, again).await.is_err()),
            }
        }
    }
    soon(tasks_are(before)).await;
}

/// Counts the callers that are inside at the same time.
#[derive(Default)]
pub struct Inside(AtomicUsize);

impl Inside {
    /// Asserts that there are at most so many, and lets others run in between.
    pub async fn at_most(&self, most: usize) {
        struct Leaves<'a>(&'a AtomicUsize);
        impl Drop for Leaves<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, SeqCst);
            }
        }
        let inside = 1 + self.0.fetch_add(1, SeqCst);
        let _leaves = Leaves(&self.0);
        assert!(inside <= most, "{inside} at the same time");
        yield_now().await;
    }
}
