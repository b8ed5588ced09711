//! An exit stack, as `AsyncExitStack`: many resources, closed in reverse order.
//!
//! `ExitStack::enter` below takes a resource and a function that closes it. `enter`
//! returns a guard, through which your code uses the resource. `ExitStack::close` closes
//! all resources, even if one of them fails to close. There is no `pop_all`: to keep the
//! resources open, return the stack without its guards, and let the caller close it.
//!
//! Bounds: Unbounded: The time to close a resource. Put a `timeout` into the function
//! that closes it.
//!
//! Trap: If an abort, a panic or an early `?` skips `close`, the stack is dropped. Then a
//! task closes the resources, and prints errors to standard error. That task belongs to
//! the `TaskTracker` that you passed to `ExitStack::new`. Wait for this tracker before
//! `main` ends. Otherwise the resources that are still open are dropped and not closed.
//!
//! Trap: If a function creates a stack, opens resources in it and returns the stack with
//! a guard, the compiler reports "cannot move out of `stack` because it is borrowed". A
//! guard borrows its stack. Create the stack in the caller, and pass an `&ExitStack` to
//! the function.
//!
//! See also: `cleanup_on_cancel`, `async_drop`, `drop_guard`, `nested_scopes`.
//!
//! asyncio: contextlib.AsyncExitStack, asyncio.Task.cancel, asyncio.create_task
//! asyncio: contextlib.ExitStack
//! differs: asyncio closes the resources of a forgotten stack late and in no order

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::task::TaskTracker;

/// Callbacks that run at the end, the last pushed first.
///
/// If the stack is dropped, they run one after another in a task of the tracker. The task
/// has neither the task-locals nor the `tracing` span of the caller.
pub struct ExitStack<E: fmt::Display + Send + 'static> {
    callbacks: std::sync::Mutex<Callbacks<E>>,
    tracker: TaskTracker,
    /// A stack may be dropped by a thread that has no runtime.
    runtime: Handle,
}

struct Callbacks<E: fmt::Display> {
    waiting: Vec<BoxFuture<'static, Result<(), E>>>,
    errors: Vec<E>,
}

/// The error of the body, and then those of the callbacks, in the order they occurred.
#[derive(Debug)]
pub struct ExitErrors<E>(pub Vec<E>);

impl<E: fmt::Display> fmt::Display for ExitErrors<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors: Vec<_> = self.0.iter().map(E::to_string).collect();
        f.write_str(&errors.join(", then: "))
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for ExitErrors<E> {}

impl<E: fmt::Display + Send + 'static> fmt::Debug for ExitStack<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExitStack({} callbacks)", self.lock().waiting.len())
    }
}

impl<E: fmt::Display + Send + 'static> ExitStack<E> {
    /// Returns an empty stack. Dropping the stack runs its callbacks in a task of this
    /// tracker, on the current runtime.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn new(tracker: &TaskTracker) -> Self {
        Self {
            callbacks: std::sync::Mutex::new(Callbacks {
                waiting: Vec::new(),
                errors: Vec::new(),
            }),
            tracker: tracker.clone(),
            runtime: Handle::current(),
        }
    }

    /// Pushes a resource with the function that closes it, and returns a guard for it.
    ///
    /// Call `enter` right after the resource was opened, with no await in between. Unlike
    /// `__aexit__`, `close` does not see the body's error. After `mem::forget` of the
    /// guard, the resource stays open.
    pub fn enter<R, Fut>(
        &self,
        resource: R,
        close: impl FnOnce(R) -> Fut + Send + 'static,
    ) -> Entered<'_, R>
    where
        R: Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send,
    {
        let resource = Arc::new(Mutex::new(resource));
        let guard = Arc::clone(&resource).try_lock_owned();
        self.push(async move {
            match Arc::into_inner(resource) {
                Some(resource) => close(resource.into_inner()).await,
                None => Ok(()),
            }
        });
        Entered {
            guard: guard.expect("nobody else has it"),
            stack: PhantomData,
        }
    }

    /// Pushes a future that runs at the end, as `push_async_callback` does.
    pub fn push(&self, callback: impl Future<Output = Result<(), E>> + Send + 'static) {
        self.lock().waiting.push(callback.boxed());
    }

    /// Runs the callbacks, and returns the value of the body.
    ///
    /// Dropping this future moves the callbacks that have not ended to a task of the
    /// tracker, and prints the errors so far.
    ///
    /// # Errors
    ///
    /// The errors of the body and of the callbacks. If a callback fails, the value is
    /// lost.
    ///
    /// # Panics
    ///
    /// When a callback does, after all callbacks have run. The errors are then printed.
    pub async fn close<T>(mut self, body: Result<T, E>) -> Result<T, ExitErrors<E>> {
        let callbacks = self.callbacks.get_mut();
        let callbacks = callbacks.unwrap_or_else(PoisonError::into_inner);
        let value = body.map_err(|error| callbacks.errors.push(error));
        if let Some(panic) = callbacks.run().await {
            resume_unwind(panic);
        }
        let errors = mem::take(&mut callbacks.errors);
        match value {
            Ok(value) if errors.is_empty() => Ok(value),
            _ => Err(ExitErrors(errors)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Callbacks<E>> {
        let callbacks = self.callbacks.lock();
        callbacks.unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: fmt::Display> Callbacks<E> {
    /// Runs all callbacks, the last first, and returns the first panic. A callback stays
    /// in the list until it has ended.
    async fn run(&mut self) -> Option<Box<dyn Any + Send>> {
        let mut first_panic = None;
        while let Some(callback) = self.waiting.last_mut() {
            match AssertUnwindSafe(callback).catch_unwind().await {
                Ok(result) => self.errors.extend(result.err()),
                Err(panic) => first_panic = first_panic.or(Some(panic)),
            }
            self.waiting.pop();
        }
        first_panic
    }
}

impl<E: fmt::Display> Drop for Callbacks<E> {
    fn drop(&mut self) {
        for error in &self.errors {
            eprintln!("exit stack: {error}");
        }
    }
}

impl<E: fmt::Display + Send + 'static> Drop for ExitStack<E> {
    fn drop(&mut self) {
        let waiting = mem::take(&mut self.lock().waiting);
        if !waiting.is_empty() {
            let errors = Vec::new();
            let mut callbacks = Callbacks { waiting, errors };
            let run = async move { callbacks.run().await };
            self.tracker.spawn_on(run, &self.runtime);
        }
    }
}

/// A resource in use. Dropping this guard lets the stack close the resource.
#[derive(Debug)]
#[must_use = "a guard that is dropped cannot be used"]
pub struct Entered<'a, R> {
    guard: OwnedMutexGuard<R>,
    stack: PhantomData<&'a ()>,
}

impl<R> Deref for Entered<'_, R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.guard
    }
}

impl<R> DerefMut for Entered<'_, R> {
    fn deref_mut(&mut self) -> &mut R {
        &mut self.guard
    }
}

/// Writes a line to each file: `cargo run -- a.txt b.txt`.
#[tokio::main]
async fn main() -> Result<(), ExitErrors<std::io::Error>> {
    use tokio::io::AsyncWriteExt;

    let tracker = TaskTracker::new();
    let stack = ExitStack::new(&tracker);
    let body = async {
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
    };
    let written = body.await;
    let closed = stack.close(written).await;
    tracker.close();
    tracker.wait().await;
    closed
}

//@ stderr: tape is stuck
//@ try: a.txt b.txt -> b.txt is complete
