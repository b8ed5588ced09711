//! Task locals: a request id that every function can read, for `contextvars`.
//!
//! `task_local!` declares the variable and `scope` sets it while a future runs. There is
//! no `set`, and so no token to reset. What is awaited inside sees the value; an inner
//! `scope` hides it for a while. The trap is `tokio::spawn`: a task of asyncio has a copy
//! of its creator's context, one of Tokio starts with nothing. Give it a `scope` of its
//! own. Where the value may be missing read it with `try_get` or `try_with`: `get` and
//! `with` panic. With a `&'static str` as the value two scopes in a `join!` are refused
//! in a task, "implementation of `Send` is not general enough": take a `String`.
//!
//! asyncio: contextvars.ContextVar, asyncio.create_task, asyncio.gather
//! asyncio: contextvars.copy_context, asyncio.create_task(context=)
//! asyncio: loop.set_task_factory
//! differs: a task of asyncio inherits the context of its creator, one of Tokio does not

use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;
use tokio::{join, task_local};

task_local! {
    pub static REQUEST_ID: u32;
}

/// Prints the message with the id of the request that it belongs to.
fn log(message: &str) {
    match REQUEST_ID.try_with(|id| *id) {
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

async fn handle_with_subrequest() {
    log("Before");
    REQUEST_ID
        .scope(30, query(Duration::from_millis(100)))
        .await;
    log("After");
}

/// Spawns a task that has the request id of whoever spawns it, if there is one.
/// What a task factory of asyncio does for all tasks, it does where it is called.
pub fn spawn_with_id<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    match REQUEST_ID.try_get() {
        Ok(id) => tokio::spawn(REQUEST_ID.scope(id, future)),
        Err(_) => tokio::spawn(future),
    }
}

async fn handle_with_tasks() -> Result<(), JoinError> {
    println!("A task of its own:");
    tokio::spawn(query(Duration::from_millis(100))).await?;

    println!("A task that is given the id:");
    spawn_with_id(query(Duration::from_millis(100))).await
}

pub async fn run() -> Result<(), JoinError> {
    println!("Two requests at the same time:");
    join!(
        REQUEST_ID.scope(1, handle(Duration::from_millis(200))),
        REQUEST_ID.scope(2, handle(Duration::from_millis(100))),
    );

    println!("Another id for a part of it:");
    REQUEST_ID.scope(3, handle_with_subrequest()).await;

    println!("Outside of a request:");
    log("Nothing is set");
    spawn_with_id(query(Duration::from_millis(100))).await?;

    REQUEST_ID.scope(4, handle_with_tasks()).await
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
