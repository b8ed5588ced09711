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
