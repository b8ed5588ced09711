//! An exit stack, as `AsyncExitStack`: any number of resources, closed in reverse.
//!
//! Push the closing of each resource, a future, right after the resource is open. At the
//! end, also after an error or a panic, all closings run, the last pushed first; one that
//! fails does not stop the rest. `pop_all` hands them to the caller. The trap is a stack
//! that is dropped, as when its task is aborted: a drop cannot await, so what asyncio
//! would close stays open. Here the closings always run in a task of a `TaskTracker`, so
//! also when the stack is dropped; wait for it before the program ends, or the runtime
//! drops them. The crate `tokio-graceful-shutdown` does more: it stops the parts of a
//! program in a given time.
//!
//! asyncio: contextlib.AsyncExitStack, asyncio.Task.cancel, asyncio.create_task

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

type Closing<E> = BoxFuture<'static, Result<(), E>>;

/// The errors of the closings, and the first panic.
type Ended<E> = (Vec<E>, Option<Box<dyn Any + Send>>);

/// What is to be done at the end, the last pushed first.
///
/// Whether it is closed or dropped, what was pushed runs to its end, in one task, one
/// after the other, unless the runtime is shut down before.
pub struct ExitStack<E: Send + 'static> {
    closings: Mutex<Vec<Closing<E>>>,
    tracker: TaskTracker,
    /// A stack may be dropped by a thread that knows of no runtime.
    runtime: Handle,
}

/// What failed. At least the body or one closing did.
#[derive(Debug)]
pub struct Failed<E> {
    /// The error of the body.
    pub body: Option<E>,
    /// The errors of the closings, in the order in which these ran.
    pub closings: Vec<E>,
}

impl<E: fmt::Display> fmt::Display for Failed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self.body.iter().chain(&self.closings);
        for (number, error) in errors.enumerate() {
            write!(f, "{}{error}", if number == 0 { "" } else { ", then: " })?;
        }
        Ok(())
    }
}

impl<E: fmt::Debug + fmt::Display> Error for Failed<E> {}

/// Runs the body with a stack, and then what the body has pushed onto it.
///
/// Dropped at any await, it leaves the closings to a task of the tracker.
///
/// # Errors
///
/// That of the body and those of the closings. A value is lost if a closing fails.
///
/// # Panics
///
/// When the body or a closing does, with the same payload (of the first, if several),
/// after all closings have run. Errors are lost then. Outside of a Tokio runtime.
pub async fn with_exit_stack<T, E: Send + 'static>(
    tracker: &TaskTracker,
    body: impl AsyncFnOnce(&ExitStack<E>) -> Result<T, E>,
) -> Result<T, Failed<E>> {
    let stack = ExitStack::new(tracker);
    let result = AssertUnwindSafe(async { body(&stack).await });
    let result = result.catch_unwind().await;
    let (errors, panic) = stack.finish().await;
    let result = result.unwrap_or_else(|panic| resume_unwind(panic));
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
    match result {
        Ok(value) if errors.is_empty() => Ok(value),
        result => Err(Failed {
            body: result.err(),
            closings: errors,
        }),
    }
}

impl<E: Send + 'static> ExitStack<E> {
    /// An empty stack, whose closings run in a task of this tracker and this runtime.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn new(tracker: &TaskTracker) -> Self {
        Self {
            closings: Mutex::default(),
            tracker: tracker.clone(),
            runtime: Handle::current(),
        }
    }

    /// Adds what runs before all that was pushed earlier. It is not run before the end.
    ///
    /// With no await between the opening and this, nothing that is open can be forgotten.
    /// A closing, unlike `__aexit__`, does not learn of the body's error and cannot
    /// suppress it.
    pub fn push(&self, closing: impl Future<Output = Result<(), E>> + Send + 'static) {
        self.lock().push(closing.boxed());
    }

    /// Moves all that was pushed into a new stack; this one is empty then.
    #[must_use = "dropped, the new stack closes everything"]
    pub fn pop_all(&self) -> Self {
        let closings = mem::take(&mut *self.lock());
        Self {
            closings: Mutex::new(closings),
            tracker: self.tracker.clone(),
            runtime: self.runtime.clone(),
        }
    }

    /// Runs what was pushed. Dropped while it waits, it stops nothing.
    ///
    /// # Errors
    ///
    /// The errors of those that failed, in the order in which they ran.
    ///
    /// # Panics
    ///
    /// When a closing did, after all have run, and when the runtime is shut down
    /// meanwhile.
    pub async fn close(self) -> Result<(), Failed<E>> {
        let (closings, panic) = self.finish().await;
        match panic {
            Some(panic) => resume_unwind(panic),
            None if closings.is_empty() => Ok(()),
            None => Err(Failed {
                body: None,
                closings,
            }),
        }
    }

    async fn finish(self) -> Ended<E> {
        let ended = self.start().await;
        ended.expect("it is never aborted, and the runtime is not shut down")
    }

    /// Starts a task that runs what was pushed.
    fn start(&self) -> JoinHandle<Ended<E>> {
        let closings = mem::take(&mut *self.lock());
        let run = async {
            let (mut errors, mut first_panic) = (Vec::new(), None);
            for closing in closings.into_iter().rev() {
                match AssertUnwindSafe(closing).catch_unwind().await {
                    Ok(result) => errors.extend(result.err()),
                    Err(panic) => first_panic = first_panic.or(Some(panic)),
                }
            }
            (errors, first_panic)
        };
        self.tracker.spawn_on(run, &self.runtime)
    }

    /// The list is whole whenever the lock is free, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, Vec<Closing<E>>> {
        self.closings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Send + 'static> Drop for ExitStack<E> {
    fn drop(&mut self) {
        let is_empty = self.lock().is_empty();
        if !is_empty {
            self.start();
        }
    }
}

/// To do this takes so long: to close a connection, to work, to open some.
const LATENCY: Duration = Duration::from_millis(100);

/// A connection to a service.
struct Connection(&'static str);

impl Connection {
    async fn open(name: &'static str) -> Result<Self, String> {
        if name == "fax" || name == "clock" {
            sleep(LATENCY).await;
        }
        if name == "fax" {
            return Err(format!("{name} does not answer"));
        }
        println!("{name} opened");
        Ok(Self(name))
    }

    async fn close(&self) -> Result<(), String> {
        sleep(LATENCY).await;
        if self.0 == "tape" {
            return Err(format!("{} is stuck", self.0));
        }
        println!("{} closed", self.0);
        Ok(())
    }
}

/// Opens a connection that the stack closes.
async fn enter(
    stack: &ExitStack<String>,
    name: &'static str,
) -> Result<Arc<Connection>, String> {
    let connection = Arc::new(Connection::open(name).await?);
    let closing = Arc::clone(&connection);
    stack.push(async move { closing.close().await });
    Ok(connection)
}

/// Opens all, or none: if one fails, those that are open are closed.
async fn open_all(
    tracker: &TaskTracker,
    names: &[&'static str],
) -> Result<(Vec<Arc<Connection>>, ExitStack<String>), Failed<String>> {
    with_exit_stack(tracker, async |stack| {
        let mut connections = Vec::new();
        for name in names {
            connections.push(enter(stack, name).await?);
        }
        Ok((connections, stack.pop_all()))
    })
    .await
}

/// Opens connections, works with them, and closes them.
async fn work(
    tracker: &TaskTracker,
    names: &[&'static str],
    result: Result<u32, String>,
) -> Result<u32, Failed<String>> {
    with_exit_stack(tracker, async |stack| {
        for name in names {
            enter(stack, name).await?;
        }
        sleep(LATENCY).await;
        println!("{} connections at work", names.len());
        result
    })
    .await
}

pub async fn run() -> Result<(), Failed<String>> {
    let tracker = TaskTracker::new();

    println!("Closed in reverse:");
    let sum = work(&tracker, &["disk", "mail", "clock"], Ok(42)).await?;
    println!("result: {sum}");

    println!("The third does not open:");
    if let Err(failed) = work(&tracker, &["disk", "mail", "fax"], Ok(42)).await {
        println!("{failed}");
    }

    println!("A closing fails, after the body has:");
    let result = Err(String::from("no work was done"));
    if let Err(failed) = work(&tracker, &["disk", "tape"], result).await {
        println!("{failed}");
    }

    println!("Handed to the caller:");
    let (connections, stack) = open_all(&tracker, &["disk", "mail"]).await?;
    println!("the caller has {} connections", connections.len());
    stack.close().await?;

    println!("Not closed, but dropped:");
    let (_, stack) = open_all(&tracker, &["disk", "mail"]).await?;
    drop(stack);
    println!("the program goes on");
    tracker.close();
    tracker.wait().await;

    println!("Aborted when two of three are open:");
    let closings = tracker.clone();
    let names = ["disk", "mail", "clock"];
    let task = tokio::spawn(async move { work(&closings, &names, Ok(42)).await });
    sleep(LATENCY / 2).await;
    task.abort();
    if task.await.is_err_and(|error| error.is_cancelled()) {
        // At the end of a program, lest the runtime drops what still runs.
        tracker.wait().await;
        println!("cancelled, and all is closed");
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failed<String>> {
    run().await
}
