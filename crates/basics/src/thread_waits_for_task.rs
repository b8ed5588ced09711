//! A plain thread waits for a task with a time limit, and cancels the task.
//!
//! The thread reaches the runtime by a `Handle` (a reference to Tokio's event loop).
//! `block_on` with a `timeout` is `future.result(timeout=..)`. As in Python, the timeout
//! stops only the waiting, so abort the task as well. Any thread may call `abort`: no
//! `call_soon_threadsafe` is needed. A thread without a `Handle` waits for the result on
//! a channel of the standard library, by `recv_timeout`.
//!
//! Bounds: `wait_or_cancel`, the function below, waits at most its limit. If the task
//! blocks its thread, the wait lasts until the task can be aborted.
//!
//! Trap: If you write `handle.block_on(timeout(..))` in a plain thread, the call of
//! `timeout` panics, "there is no reactor running", because it comes before `block_on`
//! has begun. Call `timeout` inside an `async` block, as `wait_or_cancel` does.
//!
//! Trap: If you use a current-thread runtime, `Handle::block_on` on another thread runs
//! neither tasks nor timers: only a thread in `Runtime::block_on` runs them. If there is
//! none, the wait never ends, even with a `timeout`. Use a multi-thread runtime:
//! `wait_or_cancel` panics for any other.
//!
//! See also: `spawn_from_a_thread`, `runtime_on_a_thread`, `timeout_of_blocking_work`.
//!
//! asyncio: asyncio.run_coroutine_threadsafe, concurrent.futures.Future
//! asyncio: asyncio.Task.cancel, loop.call_soon_threadsafe

use std::error::Error;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinError, JoinHandle};
use tokio::time::{sleep, timeout};

type Failure = Box<dyn Error + Send + Sync>;

const LIMIT: Duration = Duration::from_millis(200);

async fn look_up(name: &str, millis: u64) -> String {
    sleep(Duration::from_millis(millis)).await;
    format!("found {name}")
}

/// Blocks the thread until the task has ended. After the limit it cancels the task.
///
/// # Errors
///
/// If the task panicked, or was cancelled: see `is_cancelled`.
///
/// # Panics
///
/// In async code, which must not block, and for a current-thread runtime: the wait could
/// last forever.
pub fn wait_or_cancel<T>(
    handle: &Handle,
    mut task: JoinHandle<T>,
    limit: Duration,
) -> Result<T, JoinError> {
    let has_threads = handle.runtime_flavor() != RuntimeFlavor::CurrentThread;
    assert!(has_threads, "a runtime of one thread may not run meanwhile");
    let waited = handle.block_on(async { timeout(limit, &mut task).await });
    waited.unwrap_or_else(|_elapsed| {
        task.abort();
        // The task may have ended at the last moment: then this is its value.
        handle.block_on(task)
    })
}

fn show(result: Result<String, JoinError>) -> Result<(), JoinError> {
    match result {
        Err(error) if error.is_cancelled() => println!("Cancelled"),
        result => println!("The task has {}", result?),
    }
    Ok(())
}

fn in_a_thread(handle: &Handle) -> Result<(), Failure> {
    println!("Two tasks with a time limit:");
    let task = handle.spawn(look_up("Ada", 100));
    show(wait_or_cancel(handle, task, 100 * LIMIT))?;
    let task = handle.spawn(look_up("Ben", 60_000));
    show(wait_or_cancel(handle, task, LIMIT))?;

    println!("A wait that times out, and the task keeps running:");
    let (sender, receiver) = mpsc::sync_channel(1);
    let (go, may_go) = oneshot::channel::<()>();
    handle.spawn(async move {
        // Simulates a look-up that takes longer than the limit.
        let _ = may_go.await;
        let found = look_up("Cleo", 100).await;
        // There is room for one, so this does not block. It fails if nobody receives.
        let _ = sender.send(found);
    });
    match receiver.recv_timeout(LIMIT) {
        Err(mpsc::RecvTimeoutError::Timeout) => println!("Not yet"),
        found => println!("The task has {}", found?),
    }
    drop(go);
    println!("The task has {}", receiver.recv()?);
    Ok(())
}

fn cancel_after(limit: Duration, task: &AbortHandle) {
    thread::sleep(limit);
    println!("The thread cancels the task");
    task.abort();
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let handle = Handle::current();
    let thread = thread::spawn(move || in_a_thread(&handle));
    // Waits for a thread without blocking the current one.
    let ended = tokio::task::spawn_blocking(|| thread.join()).await?;
    ended.map_err(|_panic| "the thread panicked")??;

    println!("A thread cancels a task that async code awaits:");
    let task = tokio::spawn(look_up("Dan", 60_000));
    let abort = task.abort_handle();
    thread::spawn(move || cancel_after(LIMIT, &abort));
    Ok(show(task.await)?)
}

//@ clock: real
