//! A task group: the first error stops the other tasks; then the group returns it.
//!
//! A `JoinSet` alone is no `asyncio.TaskGroup`: an error in one task leaves the others
//! running, and dropping the set stops them without waiting. Here the first error or
//! panic, in a task or the body, stops all the rest. The group waits for them. A panic
//! then continues in the caller. A group in a task of another group ends before the outer
//! one does.
//!
//! Trap: a stopped task is dropped at its current await. Put clean-up into a `Drop`,
//! which cannot await.
//!
//! In production: `tokio-graceful-shutdown` drops no task. It asks the tasks to stop.
//! They must check for the request within a timeout.
//!
//! See also: `gather`, `first_completed`, `structured_scope`, `task_group_errors`.
//!
//! asyncio: asyncio.TaskGroup, asyncio.TaskGroup.create_task, except*, ExceptionGroup

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::select;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The errors of a group in the order in which they came. There is at least one, and
/// more if tasks fail on several threads before they are stopped.
#[derive(Debug)]
pub struct TaskErrors<E>(pub Vec<E>);

impl<E: fmt::Display> fmt::Display for TaskErrors<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        write!(f, "{} failed: {}", texts.len(), texts.join("; "))
    }
}

impl<E: fmt::Debug + fmt::Display> Error for TaskErrors<E> {}

/// Spawns tasks into a group. Clones belong to the same group and may move into its
/// tasks.
pub struct TaskGroup<E>(Arc<Shared<E>>);

struct Shared<E> {
    /// Cancelled by the first failure, and when the group ends or is dropped.
    stop: CancellationToken,
    /// Cancelled when the group has ended or is dropped.
    ended: CancellationToken,
    /// Counts the tasks of this group; behind it, those of the groups around it.
    trackers: Vec<TaskTracker>,
    errors: Mutex<Vec<E>>,
    panics: Mutex<Vec<Box<dyn Any + Send>>>,
}

tokio::task_local! {
    /// Those of the group in which this task or body runs.
    static TRACKERS: Vec<TaskTracker>;
}

/// Runs the body, which spawns tasks into the group, and waits for it and for them.
///
/// When the body or a task fails or panics, the others are stopped: each is dropped at
/// its current await. They, and the tasks of groups within them, have ended when this
/// returns. A task started by `tokio::spawn` does not belong to the group.
///
/// Dropping the future stops all tasks but cannot wait for them. If it runs within
/// another group, that group waits. So do not return the future of an inner group from
/// the body: the outer group would wait for tasks that nobody stops.
///
/// If `E` is `Box<dyn Error + Send + Sync>`, a spawned task refuses the group:
/// "implementation of `AsyncFnOnce` is not general enough". Then await `.boxed()` of it.
///
/// # Errors
///
/// The errors of the tasks that failed, and of the body. A stopped task has none.
///
/// # Panics
///
/// When the body or a task does, with the same payload, after the rest has ended. The
/// errors are lost then.
pub async fn task_group<T, E>(
    body: impl AsyncFnOnce(TaskGroup<E>) -> Result<T, E>,
) -> Result<T, TaskErrors<E>>
where
    E: Send + 'static,
{
    let tasks = TaskTracker::new();
    tasks.close();
    let mut trackers = vec![tasks.clone()];
    let _ = TRACKERS.try_with(|outer| trackers.extend_from_slice(outer));
    let group = TaskGroup(Arc::new(Shared {
        stop: CancellationToken::new(),
        ended: CancellationToken::new(),
        trackers: trackers.clone(),
        errors: Mutex::default(),
        panics: Mutex::default(),
    }));
    let shared = Arc::clone(&group.0);
    // For the case that this future is dropped.
    let _stop = shared.stop.clone().drop_guard();
    let _ended = shared.ended.clone().drop_guard();

    let body = TRACKERS.scope(trackers, async move { body(group).await });
    let value = shared.run(body).await;
    tasks.wait().await;
    // A task that was spawned from outside the group just now does not start any more.
    shared.stop.cancel();
    tasks.wait().await;

    let mut panics = mem::take(&mut *lock(&shared.panics)).into_iter();
    if let Some(first) = panics.next() {
        drop(panics);
        resume_unwind(first);
    }
    let errors = mem::take(&mut *lock(&shared.errors));
    match value {
        Some(value) if errors.is_empty() => Ok(value),
        _ => Err(TaskErrors(errors)),
    }
}

impl<E: Send + 'static> TaskGroup<E> {
    /// Starts a task of the group, from the body or from another task.
    ///
    /// The receiver returns the value. If the task failed or was stopped, the receiver
    /// waits until the group has ended, and returns an error. If the group has ended or
    /// is being stopped, the future is dropped instead of started.
    pub fn spawn<T, F>(&self, future: F) -> oneshot::Receiver<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let shared = Arc::clone(&self.0);
        let trackers = shared.trackers.clone();
        let counted: Vec<_> = trackers.iter().map(TaskTracker::token).collect();
        // After it is counted: whoever ends the group in this moment waits for it.
        if !shared.stop.is_cancelled() {
            tokio::spawn(TRACKERS.scope(trackers, async move {
                match shared.run(future).await {
                    Some(value) => drop(sender.send(value)),
                    None => {
                        drop(counted);
                        // Otherwise a body that awaits this task could see the sender
                        // dropped, and go on, in the moment before it is stopped.
                        shared.ended.cancelled().await;
                    }
                }
            }));
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
    /// Runs the body or a task until it ends or the group is stopped. Returns its
    /// value; notes its error or panic, and stops the group then.
    async fn run<T>(&self, future: impl Future<Output = Result<T, E>>) -> Option<T> {
        let until_stopped = async move {
            select! {
                biased;
                () = self.stop.cancelled() => None,
                result = future => Some(result),
            }
        };
        match AssertUnwindSafe(until_stopped).catch_unwind().await {
            Ok(None) => return None,
            Ok(Some(Ok(value))) => return Some(value),
            Ok(Some(Err(error))) => lock(&self.errors).push(error),
            Err(panic) => lock(&self.panics).push(panic),
        }
        self.stop.cancel();
        None
    }
}

/// Nothing that can panic runs while the lock is held.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints when it is dropped.
struct CleanUp(&'static str);

impl Drop for CleanUp {
    fn drop(&mut self) {
        println!("{}: cleaned up", self.0);
    }
}

async fn worker(name: &'static str, millis: u64, fails: bool) -> Result<String, String> {
    let _clean_up = CleanUp(name);
    sleep(Duration::from_millis(millis)).await;
    if fails {
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
        let text = group.spawn(worker("C", 200, true)).await;
        println!("Not reached, as the body is stopped too: {text:?}");
        Ok(())
    })
    .await;
    if let Err(errors) = result {
        println!("{errors}");
    }

    println!("The body fails:");
    let result = task_group(async |group| {
        group.spawn(worker("D", 1000, false));
        sleep(Duration::from_millis(100)).await;
        Err::<(), _>(String::from("The body failed"))
    })
    .await;
    if let Err(errors) = result {
        println!("{errors}");
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
