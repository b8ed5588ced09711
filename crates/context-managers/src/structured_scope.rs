//! Structured concurrency: tasks spawn tasks, and none outlives its scope.
//!
//! `scope` is a `TaskGroup` that returns the first error, without a group around it. Any
//! task can end the scope early with a value; `TaskGroup.cancel` (3.15) takes no value.
//! When `scope` returns, all its tasks and those of its inner scopes have ended.
//!
//! Bounds: unbounded: the number of tasks in a scope.
//!
//! Trap: dropping a scope, as a `timeout` does, cancels its tasks but does not wait for
//! them. asyncio waits. Only an outer scope waits for the tasks of a dropped inner one.
//!
//! Trap: a task cannot borrow ("`folders` does not live long enough"). Use an `Arc`.
//!
//! In production: `moro` lets tasks borrow, but runs all of them in one task.
//!
//! See also: `task_group`, `drop_or_detach`, `recursion`.
//!
//! asyncio: asyncio.TaskGroup, asyncio.TaskGroup.create_task, asyncio.TaskGroup.cancel
//! try: /bin sh -> /bin/sh
//! try: . sh -> not found

use std::mem;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use futures::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Spawns tasks into a scope, and ends it. Clones belong to the same scope.
pub struct Scope<T, E>(Arc<Shared<T, E>>);

/// How a scope ends: with a result, or with a panic.
type Outcome<T, E> = thread::Result<Result<T, E>>;

struct Shared<T, E> {
    /// The trackers of the outer scopes, and last the tracker of this scope.
    trackers: Vec<TaskTracker>,
    stop: CancellationToken,
    outcome: Mutex<Option<Outcome<T, E>>>,
}

tokio::task_local! {
    /// The trackers of all scopes around the current code.
    static TRACKERS: Vec<TaskTracker>;
}

/// Runs the body, which may spawn tasks into the scope, and waits for all tasks.
///
/// The first error, panic or call of [`Scope::end`] cancels the body and the tasks. Each
/// is dropped at its current await. A task of `tokio::spawn` is not part of the scope.
///
/// Dropping the future cancels the tasks. Only an outer scope then waits for them.
///
/// # Errors
///
/// The first error of the tasks and the body. Later ones are lost.
///
/// # Panics
///
/// When the body or a task does, with the same payload, after all other tasks have ended.
pub async fn scope<T, E, Fut>(body: impl FnOnce(Scope<T, E>) -> Fut) -> Result<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
    Fut: Future<Output = Result<T, E>>,
{
    let tracker = TaskTracker::new();
    let mut trackers = TRACKERS.try_with(Vec::clone).unwrap_or_default();
    trackers.push(tracker.clone());
    let scope = Scope(Arc::new(Shared {
        trackers,
        stop: CancellationToken::new(),
        outcome: Mutex::default(),
    }));
    // Cancels the tasks if this future is dropped.
    let _stop = scope.0.stop.clone().drop_guard();
    let all = async {
        let value = body(scope.clone()).await?;
        tracker.close();
        tracker.wait().await;
        Ok(value)
    };
    if let Some(value) = scope.run(all).await {
        scope.end(value);
    }
    // After an error, a panic or `end`, cancelled tasks may not have ended yet.
    tracker.close();
    tracker.wait().await;
    let outcome = scope
        .lock()
        .take()
        .expect("an error or a value has ended it");
    outcome.unwrap_or_else(|panic| resume_unwind(panic))
}

impl<T: Send + 'static, E: Send + 'static> Scope<T, E> {
    /// Spawns a task into the scope. If the scope has ended, drops the task.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn spawn(&self, task: impl Future<Output = Result<(), E>> + Send + 'static) {
        let running: Vec<_> = self.0.trackers.iter().map(TaskTracker::token).collect();
        // Checked with the tokens in hand: the scope waits for this task, or has ended.
        if self.0.stop.is_cancelled() {
            return;
        }
        let scope = self.clone();
        tokio::spawn(async move {
            let _running = running;
            scope.run(task).await;
        });
    }

    /// Ends the scope with a value. Drops the value if an error or a value came before,
    /// or the scope has ended.
    ///
    /// Cancels the body and all tasks, and so also its caller at the next await.
    pub fn end(&self, value: T) {
        self.finish(Ok(Ok(value)));
    }

    /// Runs a part of the scope until it or the scope ends. Returns its value, if any.
    async fn run<R>(&self, part: impl Future<Output = Result<R, E>>) -> Option<R> {
        let part = TRACKERS.scope(self.0.trackers.clone(), part);
        // Dropped inside of `catch_unwind`, because a destructor may panic, too.
        let part = async move {
            tokio::select! {
                // First: a part must not go on after another one has failed.
                biased;
                () = self.0.stop.cancelled() => None,
                result = part => Some(result),
            }
        };
        match AssertUnwindSafe(part).catch_unwind().await.transpose()? {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => self.finish(Ok(Err(error))),
            Err(panic) => self.finish(Err(panic)),
        }
        None
    }

    /// Keeps the first outcome, or the first panic, and cancels the scope.
    fn finish(&self, outcome: Outcome<T, E>) {
        let is_panic = outcome.is_err();
        let mut outcome = Some(outcome);
        let mut first = self.lock();
        // After the end, the outcome would live as long as the last clone of the scope.
        let is_first = first.is_none() && !self.0.stop.is_cancelled();
        if is_first || is_panic && matches!(*first, Some(Ok(_))) {
            mem::swap(&mut *first, &mut outcome);
        }
        // Unlocked before the other outcome is dropped: its destructor may use the scope.
        drop(first);
        self.0.stop.cancel();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Outcome<T, E>>> {
        let outcome = self.0.outcome.lock();
        outcome.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, E> Clone for Scope<T, E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Finds a file by its name: `cargo run -- /etc hosts`.
#[tokio::main]
pub async fn main() -> std::io::Result<()> {
    use std::io::Error;
    use std::path::PathBuf;

    use futures::future::BoxFuture;

    type Found = Option<PathBuf>;

    /// Returns a box, because an `async fn` cannot contain itself.
    fn search(
        dir: PathBuf,
        name: String,
        scope: Scope<Found, Error>,
    ) -> BoxFuture<'static, Result<(), Error>> {
        let search = async move {
            let mut entries = tokio::fs::read_dir(dir).await?;
            while let Some(entry) = entries.next_entry().await? {
                if entry.file_name() == *name {
                    scope.end(Some(entry.path()));
                } else if entry.file_type().await?.is_dir() {
                    scope.spawn(search(entry.path(), name.clone(), scope.clone()));
                }
            }
            Ok(())
        };
        search.boxed()
    }

    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, name] = args.as_slice() else {
        return Err(Error::other("usage: DIR NAME"));
    };
    let found = scope(async |scope| {
        search(dir.into(), name.clone(), scope).await?;
        Ok(None)
    });
    match found.await? {
        Some(path) => println!("{}", path.display()),
        None => println!("not found"),
    }
    Ok(())
}
