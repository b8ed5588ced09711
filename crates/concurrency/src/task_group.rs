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
//! In production: `tokio-graceful-shutdown` asks the tasks to stop. It cancels only the
//! tasks that have not ended after a timeout.
//!
//! See also: `gather`, `first_completed`, `structured_scope`, `task_group_errors`.
//!
//! asyncio: asyncio.TaskGroup, asyncio.TaskGroup.create_task, except*, ExceptionGroup
//! try: nowhere.txt -> NotFound

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use tokio::select;
use tokio::sync::oneshot;
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

type ErrorsAndPanics<E> = (Vec<E>, Vec<Box<dyn Any + Send>>);

struct Shared<E> {
    /// Cancelled by the first failure, and when the group ends or is dropped.
    stop: CancellationToken,
    /// Cancelled when the group has ended or is dropped.
    ended: CancellationToken,
    /// Each tracker counts this group's tasks: one for each outer group, and its own.
    trackers: Vec<TaskTracker>,
    errors_and_panics: Mutex<ErrorsAndPanics<E>>,
}

tokio::task_local! {
    /// The trackers of the group in which the current code runs.
    static TRACKERS: Vec<TaskTracker>;
}

/// Runs the body, which spawns tasks into the group, and waits until all have ended.
///
/// When the body or a task fails or panics, the others are stopped: each is dropped at
/// its current await. They, and the tasks of groups within them, have ended when this
/// returns. A task started by `tokio::spawn` does not belong to the group.
///
/// Dropping the future stops all tasks but cannot wait for them. An outer group waits for
/// the tasks of an inner one. So do not return the future of an inner group from the
/// body: the outer group would wait for tasks that nobody stops.
///
/// # Errors
///
/// The errors of the tasks that failed, and of the body. A stopped task has none.
///
/// # Panics
///
/// If the body or a task panics: with the same payload, after all tasks have ended. The
/// errors are lost then.
pub async fn task_group<T, E, Fut>(
    body: impl FnOnce(TaskGroup<E>) -> Fut,
) -> Result<T, TaskErrors<E>>
where
    E: Send + 'static,
    Fut: Future<Output = Result<T, E>>,
{
    let tasks = TaskTracker::new();
    tasks.close();
    let mut trackers = TRACKERS.try_with(Vec::clone).unwrap_or_default();
    trackers.push(tasks.clone());
    let shared = Arc::new(Shared {
        stop: CancellationToken::new(),
        ended: CancellationToken::new(),
        trackers: trackers.clone(),
        errors_and_panics: Mutex::default(),
    });
    // Stop the tasks if this future is dropped.
    let _stop = shared.stop.clone().drop_guard();
    let _ended = shared.ended.clone().drop_guard();

    let group = TaskGroup(Arc::clone(&shared));
    let body = TRACKERS.scope(trackers, async move { body(group).await });
    let value = shared.run(body).await;
    tasks.wait().await;
    // After this, a task that is spawned from outside the group no longer starts.
    shared.stop.cancel();
    tasks.wait().await;

    let (errors, panics) = mem::take(&mut *shared.lock());
    let first_panic = panics.into_iter().next();
    if let Some(panic) = first_panic {
        resume_unwind(panic);
    }
    match value {
        Some(value) if errors.is_empty() => Ok(value),
        _ => Err(TaskErrors(errors)),
    }
}

impl<E: Send + 'static> TaskGroup<E> {
    /// Starts a task of the group, from the body or from another task.
    ///
    /// The receiver returns the value. If the task failed or was stopped, the receiver
    /// waits until the group has ended, and returns an error. So a task of the group must
    /// not block its thread on the receiver (`block_in_place`): it would deadlock. If the
    /// group has ended or is being stopped, the future is dropped instead of started.
    pub fn spawn<T, F>(&self, future: F) -> oneshot::Receiver<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let shared = Arc::clone(&self.0);
        let trackers = shared.trackers.clone();
        let counted: Vec<_> = trackers.iter().map(TaskTracker::token).collect();
        // After it is counted: a group that ends at this moment waits for the task.
        if !shared.stop.is_cancelled() {
            tokio::spawn(TRACKERS.scope(trackers, async move {
                let mut sender = Some(sender);
                let task = async {
                    let value = future.await?;
                    // A value that nobody receives is dropped here, and may panic.
                    let _ = sender.take().map(|sender| sender.send(value));
                    Ok(())
                };
                shared.run(task).await;
                drop(counted);
                if sender.is_some() {
                    // Otherwise a body that awaits this task could see the dropped
                    // sender, and go on for a moment before it is stopped.
                    shared.ended.cancelled().await;
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
    /// Runs the body or a task until it ends or the group is stopped. Returns its value.
    /// Records its error or panic, and then stops the group.
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
            Ok(Some(Err(error))) => self.lock().0.push(error),
            Err(panic) => self.lock().1.push(panic),
        }
        self.stop.cancel();
        None
    }

    fn lock(&self) -> MutexGuard<'_, ErrorsAndPanics<E>> {
        // Nothing that can panic runs while the lock is held.
        let lock = self.errors_and_panics.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads all files at the same time, or none: `cargo run -- a.txt b.txt`.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let names = std::env::args().skip(1);
    let read = task_group(async |group| {
        let read = |name: String| group.spawn(tokio::fs::read(name));
        Ok(names.map(read).collect::<Vec<_>>())
    });
    for contents in read.await? {
        println!("{} bytes", contents.await?.len());
    }
    Ok(())
}
