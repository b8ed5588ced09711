//! Task locals: a request id that every function can read, for `contextvars`.
//!
//! `task_local!` declares the variable, and `scope` sets it while a future runs. There is
//! no `set` and no `reset`: an inner `scope` hides the outer value. Read the variable
//! with `try_get` where the value may be missing: `get` and `with` panic.
//!
//! A `thread_local!` belongs to a thread, not to a task. Other tasks on the same thread
//! see its value, and after an await a task may be on another thread.
//!
//! Trap: If you spawn a task or call `spawn_blocking`, the new code starts without the
//! value. asyncio's `create_task` and `to_thread` copy the context of their caller. In
//! Tokio, pass the value on: read it, and open a new `scope` in the task.
//!
//! Trap: If you declare the value as a `&'static str`, a spawned task cannot run two
//! scopes in one `join!`: the compiler reports "implementation of `Send` is not general
//! enough". Declare a `String` instead, and read it with `try_get`, which returns a
//! clone. If you read the `String` with `with(|id| *id)`, the compiler reports "cannot
//! move out of `*id`".
//!
//! See also: `structured_logging`, which puts the id on each line of a log.
//!
//! asyncio: contextvars.ContextVar, asyncio.create_task, asyncio.gather
//! asyncio: contextvars.copy_context, asyncio.create_task(context=), asyncio.to_thread
//! differs: asyncio hands the context to tasks and threads, Tokio does not

use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::task_local;
use tokio::time::sleep;

task_local! {
    pub static REQUEST_ID: u32;
}

/// Prints the message with the id of the request that it belongs to.
fn log(message: &str) {
    match REQUEST_ID.try_get() {
        Ok(id) => println!("[{id}] {message}"),
        Err(_) => println!("[none] {message}"),
    }
}

async fn query(delay: Duration) {
    sleep(delay).await;
    log("Queried");
}

async fn handle(delay: Duration) {
    log("Started");
    query(delay).await;
    log("Finished");
}

/// Spawns a task that has the request id of its caller, if there is one.
pub fn spawn_with_id<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    match REQUEST_ID.try_get() {
        Ok(id) => tokio::spawn(REQUEST_ID.scope(id, future)),
        Err(_) => tokio::spawn(future),
    }
}

/// Runs blocking work on another thread, with the request id of its caller.
pub fn spawn_blocking_with_id<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    match REQUEST_ID.try_get() {
        Ok(id) => spawn_blocking(move || REQUEST_ID.sync_scope(id, work)),
        Err(_) => spawn_blocking(work),
    }
}

async fn handle_with_tasks() -> Result<(), JoinError> {
    println!("A task, and a call on another thread:");
    tokio::spawn(query(Duration::from_millis(100))).await?;
    spawn_blocking(|| log("Computed")).await?;

    println!("The same, given the id:");
    spawn_with_id(query(Duration::from_millis(100))).await?;
    spawn_blocking_with_id(|| log("Computed")).await
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    println!("Two requests at the same time:");
    tokio::join!(
        REQUEST_ID.scope(1, handle(Duration::from_millis(200))),
        REQUEST_ID.scope(2, handle(Duration::from_millis(100))),
    );

    println!("Outside of a request:");
    log("Nothing is set");

    REQUEST_ID.scope(4, handle_with_tasks()).await
}
