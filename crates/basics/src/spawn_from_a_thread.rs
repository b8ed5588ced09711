//! Spawn tasks from another thread, wait there for their results, send to async code.
//!
//! Async code gets a `Handle` of its runtime (a reference to Tokio's event loop) from
//! `Handle::current()` and gives the handle to the thread. In the thread,
//! `handle.spawn(..)` starts a task, as `run_coroutine_threadsafe` does.
//! `handle.block_on(task)` waits for the task, as Python's `result()` does, and returns
//! an error if the task panicked. A current-thread runtime runs the task only while its
//! own thread awaits in `main` or in `block_on`. Until then your thread waits, without a
//! limit.
//!
//! To send values to async code, use a channel: channels work between any threads,
//! without `call_soon_threadsafe`. A channel returns an error if the other side is
//! dropped.
//!
//! Trap: If you call `send` in a plain thread, which cannot await it, nothing is sent:
//! "unused implementer of `Future`". Use `blocking_send`. In a task, `blocking_send`
//! panics: "Cannot block the current thread from within a runtime". It waits without a
//! limit; `handle.block_on(sender.send_timeout(item, limit))` has one.
//!
//! See also: `thread_waits_for_task`, `runtime_on_a_thread`, `blocking_in_threads`.
//!
//! asyncio: asyncio.run_coroutine_threadsafe, loop.call_soon_threadsafe
//! asyncio: loop.create_task, asyncio.AbstractEventLoop, concurrent.futures.Future

use std::error::Error;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

type Failure = Box<dyn Error + Send + Sync>;

async fn look_up(id: u32) -> Result<String, String> {
    sleep(Duration::from_millis(200)).await;
    assert!(id > 0, "ids begin with 1");
    match id {
        1 => Ok(String::from("Ada")),
        _ => Err(format!("nobody has the id {id}")),
    }
}

/// Runs async code on the runtime, and blocks the calling thread until the answer has
/// come. The runtime must run on another thread: a multi-thread runtime always does.
pub fn look_up_from_thread(handle: &Handle, id: u32) -> Result<String, Failure> {
    Ok(handle.block_on(handle.spawn(look_up(id)))??)
}

/// Sends as fast as the receiver reads: `blocking_send` waits while the channel is full.
fn send_readings(readings: mpsc::Sender<u32>) -> Result<(), Failure> {
    for reading in [81, 14, 3, 94] {
        readings.blocking_send(reading)?;
        println!("Sent {reading}");
    }
    Ok(())
}

/// Waits for a thread without blocking the current one.
async fn join(thread: thread::JoinHandle<Result<(), Failure>>) -> Result<(), Failure> {
    spawn_blocking(|| thread.join().expect("the thread does not panic")).await?
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    println!("A thread that starts tasks and waits for their results:");
    let handle = Handle::current();
    let thread = thread::spawn(move || {
        println!("Found {}", look_up_from_thread(&handle, 1)?);
        for id in [2, 0] {
            match look_up_from_thread(&handle, id) {
                Ok(name) => println!("Found {name}"),
                Err(error) if error.is::<tokio::task::JoinError>() => {
                    println!("Bug in the task")
                }
                Err(error) => println!("Error: {error}"),
            }
        }
        Ok(())
    });
    join(thread).await?;

    println!("A thread that sends to a slow reader:");
    let (sender, mut receiver) = mpsc::channel(1);
    let thread = thread::spawn(|| send_readings(sender));
    while let Some(reading) = receiver.recv().await {
        sleep(Duration::from_millis(200)).await;
        println!("Stored {reading}");
    }
    join(thread).await
}

//@ clock: real
//@ stderr: ids begin with 1
