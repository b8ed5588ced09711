//! Async context managers: what CPython's tests ask of them, on functions and guards.
//!
//! The counterpart of `async with` is a function that opens, calls an `AsyncFnOnce`, and
//! closes. Behind an `@` stands the component `scoped`, or what takes its place.
//!
//! asyncio: async with, contextlib.asynccontextmanager, contextlib.AsyncExitStack
//! differs: a dropped scope closes nothing, and an exit does not see the body's error

use std::hint::black_box;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::support::exit_stack::{ExitErrors, ExitStack};
use crate::support::scoped_resource::{ScopeError, scoped};
use crate::support::{millis, settle, try_out};

type Seen = Arc<Mutex<Vec<&'static str>>>;

/// Notes what becomes of it.
#[derive(Clone, Default)]
struct Resource(Seen);

impl Resource {
    async fn open(&self, opens: bool) -> Result<Self, &'static str> {
        yield_now().await;
        if !opens {
            return Err("open");
        }
        self.note("opened");
        Ok(self.clone())
    }

    async fn close(self, closes: bool) -> Result<(), &'static str> {
        yield_now().await;
        self.note("closed");
        if closes { Ok(()) } else { Err("close") }
    }

    fn note(&self, step: &'static str) {
        self.0.lock().unwrap().push(step);
    }

    fn told(&self) -> String {
        self.0.lock().unwrap().join(", ")
    }

    fn told_with(&self, result: Result<(), impl std::fmt::Display>) -> String {
        match result {
            Ok(()) => self.told(),
            Err(error) => format!("{}, error {error}", self.told()),
        }
    }
}

/// A manager without a component: it opens, runs the body, and closes.
async fn with<T>(
    resource: &Resource,
    body: impl AsyncFnOnce(&Resource) -> Result<T, &'static str>,
) -> Result<T, &'static str> {
    let opened = resource.open(true).await?;
    let result = body(&opened).await;
    opened.close(true).await?;
    result
}

// async with.

async fn plain() -> String {
    let resource = Resource::default();
    let result = with(&resource, async |it| {
        it.note("used");
        Ok(())
    });
    let result = result.await;
    resource.told_with(result)
}

async fn body_fails() -> String {
    let resource = Resource::default();
    let result = with(&resource, async |_| Err("body")).await;
    resource.told_with(result)
}

async fn broken(_: &Resource) -> Result<(), &'static str> {
    assert_eq!(black_box(1), 0);
    Ok(())
}

async fn bug() -> String {
    let resource = Resource::default();
    let ended = AssertUnwindSafe(with(&resource, broken))
        .catch_unwind()
        .await;
    let bug = if ended.is_err() { "the bug" } else { "no bug" };
    format!("{}, {bug}", resource.told())
}

async fn close(resource: Resource) -> Result<(), &'static str> {
    resource.close(true).await
}

async fn bug_scoped() -> String {
    let resource = Resource::default();
    let opened = resource.open(true).await.unwrap();
    let scope = scoped(opened, async |it: &mut Resource| broken(it).await, close);
    let ended = AssertUnwindSafe(scope).catch_unwind().await;
    let bug = if ended.is_err() { "the bug" } else { "no bug" };
    format!("{}, {bug}", resource.told())
}

async fn cancelled() -> String {
    let resource = Resource::default();
    let opened = resource.open(true).await.unwrap();
    let body = async |_: &mut Resource| {
        sleep(millis(10_000)).await;
        Ok(())
    };
    assert!(
        timeout(millis(50), scoped(opened, body, close))
            .await
            .is_err()
    );
    resource.told()
}

async fn open_fails() -> String {
    let resource = Resource::default();
    let used = async {
        let opened = resource.open(false).await?;
        opened.close(true).await
    };
    let result = used.await;
    match result {
        Ok(()) => resource.told(),
        Err(error) => format!("{}, error {error}", resource.told()),
    }
}

async fn close_fails(
    body: Result<(), &'static str>,
) -> (Resource, Result<(), ScopeError<&'static str>>) {
    let resource = Resource::default();
    let opened = resource.open(true).await.unwrap();
    let close = async |it: Resource| it.close(false).await;
    let result = scoped(opened, async |_: &mut Resource| body, close).await;
    (resource, result)
}

async fn close_alone_fails() -> String {
    let (resource, result) = close_fails(Ok(())).await;
    match result {
        Err(ScopeError::Close(error)) => format!("{}, error {error}", resource.told()),
        _ => "another end".to_owned(),
    }
}

async fn both_fail() -> String {
    let (resource, result) = close_fails(Err("body")).await;
    match result {
        Err(ScopeError::Both { body, close }) => {
            format!("{}, errors {body} and {close}", resource.told())
        }
        _ => "another end".to_owned(),
    }
}

async fn left_by_return() -> String {
    let resource = Resource::default();
    let opened = resource.open(true).await.unwrap();
    let body = async |_: &mut Resource| Ok::<_, &'static str>("value");
    let value = scoped(opened, body, close).await.unwrap();
    format!("{value}, {}", resource.told())
}

async fn nested() -> String {
    let resource = Resource::default();
    let outer = resource.open(true).await.unwrap();
    let body = async |outer: &mut Resource| {
        let inner = outer.open(true).await?;
        let body = async |_: &mut Resource| Err::<(), _>("body");
        scoped(inner, body, close)
            .await
            .map_err(ScopeError::into_first)
    };
    assert!(scoped(outer, body, close).await.is_err());
    resource.told()
}

async fn forgiving(body: impl AsyncFnOnce() -> Result<(), &'static str>) {
    // The manager sees the error, and decides.
    let _ = body().await;
}

async fn swallowed() -> String {
    forgiving(async || Err("body")).await;
    "no error".to_owned()
}

async fn translating<T>(
    body: impl AsyncFnOnce() -> Result<T, &'static str>,
) -> Result<T, String> {
    body()
        .await
        .map_err(|error| format!("another error of {error}"))
}

async fn changed() -> String {
    translating(async || Err::<(), _>("body"))
        .await
        .unwrap_err()
}

async fn null() -> String {
    let (lock, mut seen) = (tokio::sync::Mutex::new(()), Vec::new());
    for locks in [true, false] {
        let _guard = match locks {
            true => Some(lock.lock().await),
            false => None,
        };
        seen.push(if lock.try_lock().is_err() {
            "locked"
        } else {
            "not locked"
        });
    }
    seen.join(", ")
}

async fn decorated() -> String {
    async fn work(resource: &Resource) -> Result<(), &'static str> {
        let body = async |it: &Resource| {
            it.note("works");
            Ok(())
        };
        with(resource, body).await
    }
    let resource = Resource::default();
    work(&resource).await.unwrap();
    resource.told()
}

// AsyncExitStack.

fn stack() -> ExitStack<&'static str> {
    ExitStack::new(&TaskTracker::new())
}

fn errors<T>(closed: Result<T, ExitErrors<&'static str>>) -> Vec<&'static str> {
    closed.map_or_else(|errors| errors.0, |_| Vec::new())
}

async fn stack_order() -> String {
    let (stack, seen) = (stack(), Seen::default());
    for number in ["1", "2", "3"] {
        let seen = Arc::clone(&seen);
        stack.push(async move {
            seen.lock().unwrap().push(number);
            Ok(())
        });
    }
    stack.close(Ok(())).await.unwrap();
    Resource(seen).told()
}

async fn stack_second_fails() -> String {
    let (stack, resource) = (stack(), Resource::default());
    let body = async {
        let _first = stack.enter(resource.open(true).await?, close);
        let _second = stack.enter(Resource::default().open(false).await?, close);
        Ok(())
    };
    let result = body.await;
    let errors = errors(stack.close(result).await);
    format!("{}, error {}", resource.told(), errors.join(", "))
}

async fn stack_callback_fails() -> String {
    let stack = stack();
    stack.push(async { Err("callback") });
    format!("error {}", errors(stack.close(Ok(())).await).join(", "))
}

async fn stack_many_fail() -> String {
    let stack = stack();
    stack.push(async { Err("first") });
    stack.push(async { Err("second") });
    let mut errors = errors(stack.close(Err::<(), _>("body")).await);
    let first = errors[0];
    errors.sort_unstable();
    format!("{first} is raised, all: {}", errors.join(", "))
}

async fn stack_deep() -> String {
    let (stack, seen) = (stack(), Seen::default());
    for _ in 0..10_000 {
        let seen = Arc::clone(&seen);
        stack.push(async move {
            seen.lock().unwrap().push("called");
            Ok(())
        });
    }
    stack.close(Ok(())).await.unwrap();
    format!("{} callbacks", seen.lock().unwrap().len())
}

async fn stack_close() -> String {
    let (stack, resource) = (stack(), Resource::default());
    drop(stack.enter(resource.open(true).await.unwrap(), close));
    stack.close(Ok(())).await.unwrap();
    resource.told()
}

async fn stack_cancelled() -> String {
    let resource = Resource::default();
    let used = async {
        let stack = stack();
        let _guard = stack.enter(resource.open(true).await.unwrap(), close);
        sleep(millis(10_000)).await;
    };
    assert!(timeout(millis(50), used).await.is_err());
    let before = resource.0.lock().unwrap().len();
    settle().await;
    let told = resource.told();
    format!("{told}, {before} of 2 steps before the error arrives")
}

/// Opens both, or closes the first one again.
async fn both(first: &Resource) -> Result<[Resource; 2], &'static str> {
    let first = first.open(true).await?;
    match Resource::default().open(true).await {
        Ok(second) => Ok([first, second]),
        Err(error) => {
            first.close(true).await?;
            Err(error)
        }
    }
}

async fn stack_kept() -> String {
    let resource = Resource::default();
    let opened = both(&resource).await.unwrap();
    let kept = resource.told();
    for resource in opened.into_iter().rev() {
        resource.close(true).await.unwrap();
    }
    format!("{kept}; later {}", resource.told())
}

#[tokio::main]
async fn main() {
    try_out! { millis(2_000),
        "with.order" => plain(),
        "with.body-error.closes" => body_fails(),
        "with.bug.closes" => bug(),
        "with.bug.closes@scoped" => bug_scoped(),
        "with.cancelled.closes@scoped" => cancelled(),
        "with.open-error.does-not-close" => open_fails(),
        "with.close-error.is-raised@scoped" => close_alone_fails(),
        "with.both-errors.last-is-raised@scoped" => both_fail(),
        "with.return.closes@scoped" => left_by_return(),
        "with.nested.closes-in-reverse@scoped" => nested(),
        "asynccontextmanager.may-swallow" => swallowed(),
        "asynccontextmanager.may-change-error" => changed(),
        "nullcontext.no-guard@Option" => null(),
        "asynccontextmanager.as-decorator@call" => decorated(),
        "exit_stack.callbacks.in-reverse" => stack_order(),
        "exit_stack.enter.second-fails-first-closes" => stack_second_fails(),
        "exit_stack.callback-error.is-raised" => stack_callback_fails(),
        "exit_stack.errors.last-is-raised" => stack_many_fail(),
        "exit_stack.callbacks.many" => stack_deep(),
        "exit_stack.aclose.closes" => stack_close(),
        "exit_stack.cancelled.closes" => stack_cancelled(),
        "exit_stack.pop_all.hands-out@return" => stack_kept(),
    }
}
