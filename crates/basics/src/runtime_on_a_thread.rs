//! An event loop on its own thread, for a program that is not async.
//!
//! A multi-thread runtime (Tokio's event loop) with one worker thread is such a loop: it
//! starts, runs tasks, and stops when it is dropped. `Runtime::spawn` is
//! `run_coroutine_threadsafe`, and `block_on` waits for the result. A `timeout` inside
//! `block_on` limits that wait.
//!
//! Bounds: Dropping the runtime drops its tasks at their current await. The drop also
//! waits for calls in `spawn_blocking`, without a limit. `shutdown_timeout` limits that
//! wait.
//!
//! Trap: If you call `block_on` or drop the runtime in async code, the program panics,
//! because both would block the thread. In async code, await the handle that
//! `Runtime::spawn` returns, and stop the runtime with `shutdown_background`, which does
//! not wait.
//!
//! Trap: If you keep the runtime in a `static`, as libraries do, you cannot stop it. To
//! stop a runtime you must own it, but a `static` gives only references: "cannot move out
//! of a shared reference". Keep a runtime that must stop in a struct.
//!
//! See also: `call_async_from_sync`, `spawn_from_a_thread`, `build_a_runtime`.
//!
//! asyncio: asyncio.run_coroutine_threadsafe, loop.call_soon_threadsafe, threading.Thread
//! asyncio: loop.stop, asyncio.AbstractEventLoop

use std::error::Error;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::sleep;

async fn work(name: &str, millis: u64) -> Result<String, String> {
    println!("Task {name} starts");
    sleep(Duration::from_millis(millis)).await;
    if name == "broken" {
        return Err(format!("Task {name} failed"));
    }
    Ok(format!("Result from {name}"))
}

fn blocking_call() {
    println!("The call begins");
    thread::sleep(Duration::from_millis(300));
    println!("The call ends");
}

/// The part of the program that is not async.
pub fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // An event loop on its own thread, which runs until it is dropped.
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;

    println!("Two tasks, while this thread does something else:");
    let good = runtime.spawn(work("good", 200));
    let broken = runtime.spawn(work("broken", 300));
    thread::sleep(Duration::from_millis(100));
    println!("Something else is done");
    // print(good.result())
    println!("{}", runtime.block_on(good)??);
    match runtime.block_on(broken)? {
        Ok(result) => println!("{result}"),
        Err(error) => println!("Error: {error}"),
    }

    println!("Stopped while a task and a blocking call run:");
    runtime.spawn(work("endless", 3_600_000));
    thread::sleep(Duration::from_millis(100));
    runtime.spawn_blocking(blocking_call);
    thread::sleep(Duration::from_millis(100));
    drop(runtime);
    println!("Stopped");
    Ok(())
}

//@ clock: real
