//! Wait until a task is ready: start a service, and continue when it can be used.
//!
//! The task sends a message on a `oneshot` (a channel for one value) when its start is
//! complete. `start` waits for the message and returns the task's handle. If the task
//! ends before it is ready, the sender is dropped, the wait fails, and `start` returns
//! the task's error.
//!
//! A socket needs none of this: bind the socket first, then spawn the task that accepts.
//! Clients that connect in between wait in the socket's queue.
//!
//! Trap: If you signal with an `asyncio.Event`, the caller waits forever when the start
//! fails. If you `sleep` instead of waiting for a signal, the sleep will be too short one
//! day. Wait for a `oneshot`, which returns an error when the start fails.
//!
//! See also: `oneshot_and_set_once`, `background_services`, `task_in_a_struct`, `event`.
//!
//! asyncio: loop.create_future, asyncio.Future.set_result, asyncio.create_task

use std::error::Error;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Any error that may move to another thread.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Starts the service and waits until it is ready.
///
/// If the call is dropped, the service keeps running.
///
/// # Errors
///
/// What the service returned, if it ended before it was ready.
pub async fn start(
    name: &'static str,
) -> Result<JoinHandle<Result<(), Failure>>, Failure> {
    let (ready, is_ready) = oneshot::channel();
    let service = tokio::spawn(serve(name, ready));
    match is_ready.await {
        Ok(()) => Ok(service),
        Err(_ended) => match service.await? {
            Err(error) => Err(error),
            Ok(()) => Err("it ended before it was ready".into()),
        },
    }
}

async fn serve(name: &str, ready: oneshot::Sender<()>) -> Result<(), Failure> {
    println!("{name} starts");
    sleep(Duration::from_millis(200)).await;
    if name == "mailer" {
        return Err("no template for mails".into());
    }
    // Fails if nobody waits any more, which is no error.
    let _ = ready.send(());
    sleep(Duration::from_millis(300)).await;
    println!("{name} ends");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let cache = start("cache").await?;
    println!("cache is ready");
    if let Err(error) = start("mailer").await {
        println!("mailer: {error}");
    }
    cache.await?
}
