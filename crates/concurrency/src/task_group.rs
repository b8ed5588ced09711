//! A task group: the first error stops the other tasks, waits for them, then is returned.
//!
//! A `JoinSet` alone is no `asyncio.TaskGroup`: an error in one task leaves the others
//! running, and dropping the set stops them without waiting. Here the first error or
//! panic, in a task or in the body, stops the body and all tasks and waits for them;
//! errors are collected, a panic goes on in the caller. A group in a task of another ends
//! before that one does. The trap: a stopped task is dropped at its await, so clean-up
//! stands in a `Drop` and cannot await. The crate `tokio-graceful-shutdown` does more: it
//! asks tasks to stop, and gives them time to.
//!
//! asyncio: asyncio.TaskGroup, asyncio.TaskGroup.create_task, except*, ExceptionGroup

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::mem;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use tokio::select;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The errors of a group: those of the tasks in the order in which they ended, then that
/// of the body. There is at least one.
#[derive(Debug)]
pub struct TaskErrors<E>(pub Vec<E>);

impl<E: fmt::Display> fmt::Display for TaskErrors<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed", self.0.len())?;
        for (number, error) in self.0.iter().enumerate() {
            write!(f, "{} {error}", if number == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl<E: fmt::Debug + fmt::Display> Error for TaskErrors<E> {}

/// Spawns tasks into a group. Clones belong to the same group and may be moved into its
/// tasks.
pub struct TaskGroup<E>(Arc<Shared<E>>);

struct Shared<E> {
    state: Mutex<State<E>>,
    /// Cancelled by the first task that fails.
    failed: CancellationToken,
}

struct State<E> {
    tasks: JoinSet<Result<(), E>>,
    /// What each new task holds; `None` when the group takes no more.
    open: Option<Arc<Alive>>,
    errors: Vec<E>,
    panic: Option<Box<dyn Any + Send>>,
}

/// Held by everything that runs in a group, and so by all that runs in groups within it:
/// aborted tasks of theirs, which nobody joins any more, are waited for by this.
struct Alive {
    _running: mpsc::Sender<()>,
    _outer: Option<Arc<Alive>>,
}

tokio::task_local! {
    static ALIVE: Arc<Alive>;
}

/// Runs the body, which spawns tasks into the group, and waits for it and for them.
///
/// When the body or a task fails or panics, the others are stopped: dropped at the await
/// where they are. They, and the tasks of groups within them, are gone when this returns.
/// What is started by `tokio::spawn` does not belong to the group.
///
/// Dropped before it is ready, it aborts all tasks, but cannot wait for them; if it runs
/// within another group, that one does.
///
/// # Errors
///
/// The errors of the tasks that failed, and of the body. One that was stopped has none.
///
/// # Panics
///
/// When the body or a task does, with the same payload, after the rest has ended. Errors
/// are lost then.
pub async fn task_group<T, E>(
    body: impl AsyncFnOnce(TaskGroup<E>) -> Result<T, E>,
) -> Result<T, TaskErrors<E>>
where
    E: Send + 'static,
{
    let (running, mut all_gone) = mpsc::channel(1);
    let outer = ALIVE.try_with(Arc::clone).ok();
    let alive = Arc::new(Alive {
        _running: running,
        _outer: outer,
    });
    let state = State {
        tasks: JoinSet::new(),
        open: Some(Arc::clone(&alive)),
        errors: Vec::new(),
        panic: None,
    };
    let shared = Arc::new(Shared {
        state: Mutex::new(state),
        failed: CancellationToken::new(),
    });
    let group = TaskGroup(Arc::clone(&shared));
    let owner = Owner(Arc::clone(&shared));

    let body = ALIVE.scope(alive, async move { body(group).await });
    let ended = select! {
        biased;
        ended = AssertUnwindSafe(body).catch_unwind() => Some(ended),
        () = shared.failed.cancelled() => None,
    };
    let (value, body_error, body_panic) = match ended {
        Some(Ok(Ok(value))) => (Some(value), None, None),
        Some(Ok(Err(error))) => (None, Some(error), None),
        Some(Err(panic)) => (None, None, Some(panic)),
        None => (None, None, None),
    };
    if value.is_none() {
        shared.lock().stop();
    }
    shared.join().await;
    all_gone.recv().await;

    drop(owner);
    let (mut errors, panic) = {
        let mut state = shared.lock();
        (mem::take(&mut state.errors), state.panic.take())
    };
    if let Some(panic) = panic.or(body_panic) {
        resume_unwind(panic);
    }
    errors.extend(body_error);
    match value {
        Some(value) if errors.is_empty() => Ok(value),
        _ => Err(TaskErrors(errors)),
    }
}

impl<E: Send + 'static> TaskGroup<E> {
    /// Starts a task of the group, from the body or from another task.
    ///
    /// What it returns can be received in the body, or after the group has ended well.
    /// Receiving fails if the task has failed or was stopped. In a group that has ended
    /// or is being stopped nothing is started, and the future is dropped.
    pub fn spawn<T, F>(&self, future: F) -> oneshot::Receiver<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let failed = self.0.failed.clone();
        let task = async move {
            // Cancels the token when it is dropped: after an error, and in a panic.
            let guard = failed.drop_guard();
            let value = future.await?;
            guard.disarm();
            // Perhaps nobody wants it.
            let _ = sender.send(value);
            Ok(())
        };
        let mut state = self.0.lock();
        // A body may spawn for days: what has ended must not pile up.
        while let Some(ended) = state.tasks.try_join_next() {
            state.record(ended);
        }
        if let Some(alive) = state.open.clone() {
            state.tasks.spawn(ALIVE.scope(alive, task));
        }
        receiver
    }
}

impl<E> Clone for TaskGroup<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E> Shared<E> {
    /// Panics while the lock is held can only come from a lack of memory.
    fn lock(&self) -> MutexGuard<'_, State<E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Send + 'static> Shared<E> {
    /// Waits until there are no tasks, those included that tasks spawn meanwhile, and
    /// takes no more then.
    async fn join(&self) {
        poll_fn(|context| {
            let mut state = self.lock();
            while let Some(ended) = ready!(state.tasks.poll_join_next(context)) {
                state.record(ended);
            }
            state.open = None;
            Poll::Ready(())
        })
        .await;
    }
}

impl<E: Send + 'static> State<E> {
    fn record(&mut self, ended: Result<Result<(), E>, JoinError>) {
        match ended.map_err(JoinError::try_into_panic) {
            Ok(Ok(())) => return,
            Ok(Err(error)) => self.errors.push(error),
            Err(Ok(panic)) => {
                self.panic.get_or_insert(panic);
            }
            // It was stopped, so all are.
            Err(Err(_stopped)) => {}
        }
        self.stop();
    }

    fn stop(&mut self) {
        self.open = None;
        self.tasks.abort_all();
    }
}

/// Stops the tasks when the group's future is dropped. The `JoinSet` alone would not: the
/// tasks may hold clones of the group, and so the set.
struct Owner<E>(Arc<Shared<E>>);

impl<E> Drop for Owner<E> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.open = None;
        let tasks = mem::take(&mut state.tasks);
        drop(state);
        drop(tasks);
    }
}

/// Prints when it is dropped.
struct CleanUp(&'static str);

impl Drop for CleanUp {
    fn drop(&mut self) {
        println!("{}: cleaned up", self.0);
    }
}

async fn worker(
    name: &'static str,
    millis: u64,
    should_fail: bool,
) -> Result<String, String> {
    let _clean_up = CleanUp(name);
    sleep(Duration::from_millis(millis)).await;
    if should_fail {
        return Err(format!("Worker {name} failed"));
    }
    Ok(format!("Success: {name}"))
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("All succeed:");
    let (task1, task2) = task_group(async |group| {
        let task1 = group.spawn(worker("A", 200, false));
        let task2 = group.spawn(worker("B", 100, false));
        Ok((task1, task2))
    })
    .await?;
    println!("{}, {}", task1.await?, task2.await?);

    println!("A task fails:");
    let result = task_group(async |group| {
        group.spawn(worker("A", 100, false));
        group.spawn(worker("B", 1000, false));
        group.spawn(worker("C", 200, true));
        sleep(Duration::from_millis(500)).await;
        println!("Not reached, as the body is stopped too");
        Ok(())
    })
    .await;
    report(result);

    println!("The body fails:");
    let result = task_group(async |group| {
        group.spawn(worker("D", 1000, false));
        sleep(Duration::from_millis(100)).await;
        Err::<(), _>(String::from("The body failed"))
    })
    .await;
    report(result);

    println!("A group in a task of another, which fails:");
    let result = task_group(async |outer| {
        outer.spawn(async {
            let inner = task_group(async |inner| {
                inner.spawn(worker("E", 1000, false));
                Ok(())
            });
            inner.await.map_err(|errors| errors.to_string())
        });
        outer.spawn(worker("F", 100, true));
        Ok(())
    })
    .await;
    report(result);
    Ok(())
}

fn report(result: Result<(), TaskErrors<String>>) {
    match result {
        Ok(()) => println!("All went well"),
        Err(errors) => println!("{errors}"),
    }
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::panic::AssertUnwindSafe;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;
    use std::time::Duration;

    use futures::FutureExt;
    use tokio::task::yield_now;
    use tokio::time::{sleep, timeout};

    use super::{TaskErrors, TaskGroup, task_group};

    /// Nothing takes that long unless something is wedged.
    const LONG: Duration = Duration::from_secs(20);

    /// Fails the test if the future is not ready by then.
    async fn soon<F: Future>(future: F) -> F::Output {
        timeout(LONG, future).await.expect("wedged")
    }

    /// Polls the future at most `polls` times, a millisecond apart, and drops it if it is
    /// not ready then.
    async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
        let mut future = pin!(future);
        for _ in 0..polls {
            if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
                return Some(output);
            }
            sleep(Duration::from_millis(1)).await;
        }
        None
    }

    /// How many jobs there are that have not been dropped.
    #[derive(Clone, Default)]
    struct Live(Arc<AtomicUsize>);

    struct Job(Live);

    impl Live {
        fn job(&self) -> Job {
            self.0.fetch_add(1, Ordering::SeqCst);
            Job(self.clone())
        }

        fn count(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    impl Drop for Job {
        fn drop(&mut self) {
            self.0.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl Job {
        async fn run(self, millis: u64, result: Result<u64, u64>) -> Result<u64, u64> {
            sleep(Duration::from_millis(millis)).await;
            result
        }
    }

    /// A job of three milliseconds beside a group of its own with one of five; the body
    /// takes two.
    async fn nested(live: Live, inner: Result<u64, u64>) -> Result<u64, TaskErrors<u64>> {
        let group = task_group(async |group: TaskGroup<u64>| {
            let first = group.spawn(live.job().run(3, Ok(3)));
            let (handle, live) = (group.clone(), live.clone());
            let second = group.spawn(async move {
                let group = task_group(async |group: TaskGroup<u64>| {
                    let third = group.spawn(live.job().run(5, inner));
                    Ok(third)
                });
                let third = group.await.map_err(|errors| errors.0[0])?;
                // From a task, into a group that is waiting for its end.
                let fourth = handle.spawn(live.job().run(1, Ok(1)));
                Ok((third, fourth))
            });
            sleep(Duration::from_millis(2)).await;
            Ok((first, second))
        });
        let (first, second) = group.await?;
        let (third, fourth) = second.await.unwrap();
        Ok(first.await.unwrap() + third.await.unwrap() + fourth.await.unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_at_every_await_it_leaves_no_task() {
        soon(async {
            for (inner, expected) in [(Ok(5), Ok(9)), (Err(7), Err(7))] {
                let mut completed = 0;
                for polls in 1..15 {
                    let live = Live::default();
                    let result = poll_and_drop(nested(live.clone(), inner), polls).await;
                    if let Some(result) = result {
                        assert_eq!(live.count(), 0, "a task has outlived its group");
                        assert_eq!(result.map_err(|errors| errors.0[0]), expected);
                        completed += 1;
                    }
                    sleep(Duration::from_millis(1)).await;
                    assert_eq!(live.count(), 0, "{polls} polls: a task runs on");
                }
                assert!(completed > 5);
            }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn errors_are_collected_in_order_and_the_rest_is_stopped() {
        soon(async {
            let live = Live::default();
            let result = task_group(async |group: TaskGroup<u64>| {
                group.spawn(live.job().run(1, Err(3)));
                group.spawn(async { Err::<(), _>(1) });
                let second = group.spawn(async { Err::<(), _>(2) });
                second.await.expect_err("it failed");
                Err::<(), _>(4)
            })
            .await;
            assert_eq!(live.count(), 0);
            assert_eq!(result.unwrap_err().to_string(), "3 failed: 1; 2; 4");
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_fails_stops_a_body_that_waits_and_one_that_has_ended() {
        soon(async {
            for body in [1, 100_000_000] {
                let live = Live::default();
                let group = task_group(async |group: TaskGroup<u64>| {
                    group.spawn(live.job().run(100_000_000, Ok(1)));
                    group.spawn(live.job().run(5, Err(2)));
                    sleep(Duration::from_millis(body)).await;
                    Ok(())
                });
                let errors = timeout(LONG, group)
                    .await
                    .expect("not stopped")
                    .unwrap_err();
                assert_eq!(errors.0, [2]);
                assert_eq!(live.count(), 0);
            }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_of_inner_groups_are_gone_before_the_outer_ends() {
        soon(async {
            let live = Live::default();
            let jobs = live.clone();
            let counted = live.clone();
            let group = task_group(async move |outer: TaskGroup<u64>| {
                let live = jobs.clone();
                outer.spawn(async move {
                    let middle = task_group(async |middle: TaskGroup<u64>| {
                        let jobs = jobs.clone();
                        middle.spawn(async move {
                            let inner = task_group(async |inner: TaskGroup<u64>| {
                                inner.spawn(jobs.job().run(100_000_000, Ok(1)));
                                Ok(())
                            });
                            inner.await.map_err(|errors| errors.0[0])
                        });
                        Ok(())
                    });
                    middle.await.map_err(|errors| errors.0[0])
                });
                sleep(Duration::from_millis(1)).await;
                assert_eq!(live.count(), 1);
                Err::<(), _>(2)
            });
            // In a task: its turn comes before that of tasks that were aborted after it.
            let ended = tokio::spawn(async move { (group.await, counted.count()) });
            let (result, count) = ended.await.unwrap();
            assert_eq!(result.unwrap_err().0, [2]);
            assert_eq!(count, 0);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn limits() {
        soon(async {
            assert!(task_group(async |_: TaskGroup<u64>| Ok(())).await.is_ok());

            // A group that has ended takes nothing.
            let live = Live::default();
            let group = task_group(async |group: TaskGroup<u64>| Ok(group))
                .await
                .unwrap();
            assert!(group.spawn(live.job().run(1, Ok(1))).await.is_err());
            assert_eq!(live.count(), 0);

            // What has ended does not pile up while the body goes on.
            let group = task_group(async |group: TaskGroup<u64>| {
                for _ in 0..10_000 {
                    group.spawn(live.job().run(1, Ok(1)));
                    sleep(Duration::from_millis(2)).await;
                    assert!(group.0.lock().tasks.len() < 3);
                }
                Ok(())
            });
            group.await.unwrap();
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_stops_the_rest_and_goes_on_in_the_caller() {
        soon(async {
            for in_the_body in [false, true] {
                let live = Live::default();
                let group = task_group(async |group: TaskGroup<u64>| {
                    group.spawn(live.job().run(100_000_000, Ok(1)));
                    let job = live.job();
                    group.spawn(async move {
                        let millis = if in_the_body { 100_000_000 } else { 1 };
                        job.run(millis, Ok(1)).await?;
                        assert!(in_the_body, "a bug");
                        Ok(())
                    });
                    sleep(Duration::from_millis(2)).await;
                    assert!(!in_the_body, "a bug");
                    sleep(Duration::from_millis(100_000_000)).await;
                    Ok(())
                });
                let group = AssertUnwindSafe(group).catch_unwind();
                let panic = timeout(LONG, group)
                    .await
                    .expect("not stopped")
                    .unwrap_err();
                assert_eq!(panic.downcast_ref(), Some(&"a bug"));
                assert_eq!(live.count(), 0);
            }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn values_and_errors_need_only_be_send() {
        soon(async {
            let task = tokio::spawn(async {
                task_group(async |group| {
                    let value = group.spawn(async { Ok(Cell::new(1)) });
                    group.spawn(async { Err::<(), _>(Cell::new(2)) });
                    Ok(value)
                })
                .await
            });
            assert_eq!(task.await.unwrap().unwrap_err().0, [Cell::new(2)]);
        })
        .await;
    }

    /// 1,000 groups of ten tasks each: some in which all go well, some in which one task
    /// fails, some in which the body does, some that are aborted as a whole.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_tasks_at_once() {
        soon(async {
            for round in 0..1000_u64 {
                let live = Live::default();
                let jobs = live.clone();
                let group =
                    tokio::spawn(task_group(async move |group: TaskGroup<u64>| {
                        let mut values = Vec::new();
                        for number in 0..10 {
                            let job = jobs.job();
                            let inner = task_group(async move |inner: TaskGroup<u64>| {
                                let value = inner.spawn(async move {
                                    for _ in 0..(number + round) % 10 {
                                        yield_now().await;
                                    }
                                    let _job = job;
                                    if round % 4 == 1 && number == 7 {
                                        Err(7)
                                    } else {
                                        Ok(number)
                                    }
                                });
                                Ok(value)
                            });
                            values.push(group.spawn(async {
                                let value = inner.await.map_err(|errors| errors.0[0])?;
                                Ok(value.await.expect("its group ended well"))
                            }));
                        }
                        if round % 4 == 2 { Err(8) } else { Ok(values) }
                    }));
                if round % 4 == 3 {
                    for _ in 0..round % 16 {
                        yield_now().await;
                    }
                    group.abort();
                }
                let ended = timeout(LONG, group).await.expect("a group is stuck");
                match ended {
                    Ok(result) => {
                        assert_eq!(live.count(), 0, "round {round}");
                        match (round % 4, result) {
                            (0 | 3, Ok(values)) => {
                                let mut sum = 0;
                                for value in values {
                                    sum += value.await.unwrap();
                                }
                                assert_eq!(sum, 45);
                            }
                            (1, Err(errors)) => assert_eq!(errors.0, [7]),
                            (2, Err(errors)) => assert_eq!(errors.0, [8]),
                            (_, result) => panic!("round {round}: {}", result.is_ok()),
                        }
                    }
                    Err(ended) => assert!(ended.is_cancelled(), "{ended}"),
                }
                let gone = async {
                    while live.count() > 0 {
                        yield_now().await;
                    }
                };
                timeout(LONG, gone).await.expect("a task runs on");
            }
        })
        .await;
    }
}
