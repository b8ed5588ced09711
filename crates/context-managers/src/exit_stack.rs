//! An exit stack, as `AsyncExitStack`: any number of resources, closed in reverse.
//!
//! `enter` takes a resource and a function that closes it. It returns a guard, through
//! which the body uses the resource. When the body has ended, also after an error or a
//! panic, the stack closes all resources. One that fails to close does not stop the rest.
//!
//! Bounds: unbounded: a function that closes may hang. Put a `timeout` into it.
//!
//! Trap: an aborted task cannot await, so it closes nothing. The stack then closes its
//! resources in a task of a `TaskTracker`. Wait for the aborted task and then for the
//! tracker before `main` ends, or the runtime drops what is still open.
//!
//! See also: `cleanup_on_cancel`, `goodbye_on_close`, `drop_guard`, `nested_scopes`.
//!
//! asyncio: contextlib.AsyncExitStack, asyncio.Task.cancel, asyncio.create_task
//! try: a.txt b.txt -> b.txt is complete
//! differs: asyncio closes what a forgotten stack holds late, all at once, in no order

use std::any::Any;
use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio_util::task::TaskTracker;

type Callback<E> = BoxFuture<'static, Result<(), E>>;

/// The errors of the callbacks, and the first panic.
type Ended<E> = (Vec<E>, Option<Box<dyn Any + Send>>);

/// Callbacks that run at the end, the last pushed first.
///
/// If the stack is dropped, they run in a task of the tracker, one after the other. That
/// task has neither the task-locals nor the `tracing` span of the caller.
pub struct ExitStack<E: Send + 'static> {
    callbacks: Mutex<Vec<Callback<E>>>,
    tracker: TaskTracker,
    /// A stack may be dropped by a thread that has no runtime.
    runtime: Handle,
}

/// The body, a callback or several of them failed.
#[derive(Debug)]
pub struct ExitError<E> {
    /// The error of the body.
    pub body: Option<E>,
    /// The errors of the callbacks, in the order in which these ran.
    pub callbacks: Vec<E>,
}

impl<E: fmt::Display> fmt::Display for ExitError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.body.iter().chain(&self.callbacks);
        let errors: Vec<_> = errors.map(E::to_string).collect();
        f.write_str(&errors.join(", then: "))
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for ExitError<E> {}

/// Runs the body with a stack, and then what the body has pushed onto it.
///
/// Dropped at any await, it moves the callbacks that have not ended to a task of the
/// tracker. Their errors are lost then. A guard of `enter` must not leave the body: the
/// stack would wait for it without end.
///
/// # Errors
///
/// Those of the body and of the callbacks. A value is lost if a callback fails.
///
/// # Panics
///
/// When the body or a callback does, with the payload of the first, after all callbacks
/// have run. Errors are lost then. Outside of a Tokio runtime.
pub async fn with_exit_stack<T, E: Send + 'static>(
    tracker: &TaskTracker,
    body: impl AsyncFnOnce(&ExitStack<E>) -> Result<T, E>,
) -> Result<T, ExitError<E>> {
    let mut stack = ExitStack::new(tracker);
    let body = AssertUnwindSafe(async { body(&stack).await });
    let body = body.catch_unwind().await;
    let (callbacks, panic) = unwind(stack.callbacks()).await;
    let body = body.unwrap_or_else(|panic| resume_unwind(panic));
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
    match body {
        Ok(value) if callbacks.is_empty() => Ok(value),
        body => Err(ExitError {
            body: body.err(),
            callbacks,
        }),
    }
}

impl<E: Send + 'static> ExitStack<E> {
    /// Returns an empty stack. If it is dropped, its callbacks run in a task of this
    /// tracker and of the current runtime.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn new(tracker: &TaskTracker) -> Self {
        Self {
            callbacks: Mutex::default(),
            tracker: tracker.clone(),
            runtime: Handle::current(),
        }
    }

    /// Pushes a resource with the function that closes it, and returns a guard for it.
    ///
    /// Call it right after the resource was opened, with no await in between. If the
    /// guard is still alive at the end, nobody waits. A tracker task closes the resource
    /// later, and its error is lost.
    ///
    /// Unlike `__aexit__`, `close` does not learn of the body's error.
    pub fn enter<R, Fut>(
        &self,
        resource: R,
        close: impl FnOnce(R) -> Fut + Send + 'static,
    ) -> Entered<R>
    where
        R: Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send,
    {
        let (back, mut returned) = oneshot::channel();
        let tracker = self.tracker.clone();
        self.push(async move {
            match returned.try_recv() {
                Ok(resource) => return close(resource).await,
                Err(TryRecvError::Empty) => drop(tracker.spawn(async move {
                    match returned.await {
                        Ok(resource) => close(resource).await,
                        Err(_) => Ok(()),
                    }
                })),
                // The resource went with the guard.
                Err(TryRecvError::Closed) => {}
            }
            Ok(())
        });
        Entered(Some((resource, back)))
    }

    /// Pushes a callback, as `push_async_callback` does: a future that runs at the end.
    pub fn push(&self, callback: impl Future<Output = Result<(), E>> + Send + 'static) {
        self.lock().push(callback.boxed());
    }

    /// Moves all callbacks to a new stack.
    #[must_use = "a stack that is dropped closes everything"]
    pub fn pop_all(&self) -> Self {
        let callbacks = mem::take(&mut *self.lock());
        Self {
            callbacks: Mutex::new(callbacks),
            tracker: self.tracker.clone(),
            runtime: self.runtime.clone(),
        }
    }

    /// Runs the callbacks. Dropped at an await, it moves the rest to a task.
    ///
    /// # Errors
    ///
    /// The errors of the callbacks that failed, in the order in which they ran.
    ///
    /// # Panics
    ///
    /// When a callback did, after all have run.
    pub async fn close(mut self) -> Result<(), ExitError<E>> {
        let body = None;
        match unwind(self.callbacks()).await {
            (_, Some(panic)) => resume_unwind(panic),
            (callbacks, None) if callbacks.is_empty() => Ok(()),
            (callbacks, None) => Err(ExitError { body, callbacks }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Callback<E>>> {
        let callbacks = self.callbacks.lock();
        callbacks.unwrap_or_else(PoisonError::into_inner)
    }

    fn callbacks(&mut self) -> &mut Vec<Callback<E>> {
        let callbacks = self.callbacks.get_mut();
        callbacks.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the callbacks, the last first. Each is in the list until it has ended.
async fn unwind<E>(callbacks: &mut Vec<Callback<E>>) -> Ended<E> {
    let (mut errors, mut first_panic) = (Vec::new(), None);
    while let Some(callback) = callbacks.last_mut() {
        match AssertUnwindSafe(callback).catch_unwind().await {
            Ok(result) => errors.extend(result.err()),
            Err(panic) => first_panic = first_panic.or(Some(panic)),
        }
        callbacks.pop();
    }
    (errors, first_panic)
}

impl<E: Send + 'static> Drop for ExitStack<E> {
    fn drop(&mut self) {
        let mut callbacks = mem::take(self.callbacks());
        if !callbacks.is_empty() {
            let unwind = async move { unwind(&mut callbacks).await };
            self.tracker.spawn_on(unwind, &self.runtime);
        }
    }
}

/// A resource in use. Dropping this lets the stack close it.
#[must_use = "a guard that is dropped cannot be used"]
pub struct Entered<R>(Option<(R, oneshot::Sender<R>)>);

const HELD: &str = "only `drop` takes it away";

impl<R> Deref for Entered<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.0.as_ref().expect(HELD).0
    }
}

impl<R> DerefMut for Entered<R> {
    fn deref_mut(&mut self) -> &mut R {
        &mut self.0.as_mut().expect(HELD).0
    }
}

impl<R> Drop for Entered<R> {
    fn drop(&mut self) {
        if let Some((resource, back)) = self.0.take() {
            // Without a runtime nobody takes it: then it is only dropped.
            let _ = back.send(resource);
        }
    }
}

/// Writes a line to each file: `cargo run -- a.txt b.txt`.
#[tokio::main]
pub async fn main() -> Result<(), ExitError<std::io::Error>> {
    use tokio::io::AsyncWriteExt;

    let tracker = TaskTracker::new();
    let written = with_exit_stack(&tracker, async |stack| {
        let mut files = Vec::new();
        for name in std::env::args().skip(1) {
            let file = tokio::fs::File::create(&name).await?;
            let close = async move |mut file: tokio::fs::File| {
                file.flush().await?;
                println!("{name} is complete");
                Ok(())
            };
            files.push(stack.enter(file, close));
        }
        for file in &mut files {
            file.write_all(b"hello\n").await?;
        }
        Ok(())
    });
    written.await
}
