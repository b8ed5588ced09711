//! What older versions of CPython do otherwise, or have not: eager tasks among them.
//!
//! An eager task is a pinned future that is polled once, and spawned if it is not ready.
//!
//! asyncio: asyncio.wait_for, asyncio.eager_task_factory, asyncio.Task(eager_start=)
//! differs: the first step of an eager task runs inside of the caller's task

use std::task::Poll;

use futures::poll;
use tokio::sync::oneshot;
use tokio::task::{self, JoinHandle};
use tokio::time::{sleep, timeout};

use crate::support::{Log, millis, settle, try_out};

async fn cancelled_as_the_inner_ends() -> String {
    let (sender, receiver) = oneshot::channel();
    let waiting = tokio::spawn(async {
        let _ = timeout(millis(500), receiver).await;
        sleep(millis(500)).await;
    });
    settle().await;
    sender.send(()).unwrap();
    waiting.abort();
    let cancelled = waiting.await.is_err_and(|error| error.is_cancelled());
    format!("the waiter is cancelled: {cancelled}")
}

/// Runs the first step now, and the others in a task.
async fn eager<F>(call: F) -> Result<F::Output, JoinHandle<F::Output>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut call = Box::pin(call);
    match poll!(&mut call) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err(tokio::spawn(call)),
    }
}

async fn eager_done() -> String {
    match eager(async { 42 }).await {
        Ok(value) => format!("done with {value}"),
        Err(_) => "not done".to_owned(),
    }
}

async fn eager_waits() -> String {
    let log = Log::default();
    let own = log.clone();
    let task = eager(async move {
        own.note("the first step");
        settle().await;
        own.note("the rest");
    })
    .await;
    log.note("created");
    let _ = task.unwrap_err().await;
    log.told()
}

async fn eager_current_task() -> String {
    let caller = task::try_id();
    let task = eager(async move {
        let first = task::try_id() != caller;
        settle().await;
        (first, task::try_id() != caller)
    })
    .await;
    let (first, later) = task.unwrap_err().await.unwrap();
    format!("its own task in the first step: {first}, later: {later}")
}

tokio::task_local! {
    static NAME: &'static str;
}

async fn eager_context() -> String {
    let read = || NAME.try_with(|name| *name).unwrap_or("nothing");
    let created = NAME.scope("outer", async move {
        let task = eager(async move {
            let first = read();
            settle().await;
            (first, read())
        });
        task.await.unwrap_err().await.unwrap()
    });
    let (first, later) = created.await;
    format!("the first step reads {first}, the rest {later}")
}

async fn eager_error() -> String {
    let _ = eager(async { panic!("a bug in the first step") }).await;
    "the creator goes on".to_owned()
}

#[tokio::main]
async fn main() {
    try_out! { millis(5_000),
        "wait_for.cancel.as-inner-ends" => cancelled_as_the_inner_ends(),
        "eager.create_task.done-without-wait" => eager_done(),
        "eager.create_task.first-step-now" => eager_waits(),
        "eager.current_task.in-first-step" => eager_current_task(),
        "eager.context.one-for-all-steps" => eager_context(),
        "eager.error.belongs-to-task" => eager_error(),
    }
}

//@ python: 3.12
