//! An event loop on a thread of its own: start it, give it work, get results, stop it.
//!
//! For a program that is not async, or a library under one. The runtime is built first
//! and then moved to its thread; its handle works at once and from any thread, so nobody
//! has to wait until the loop is there. `Handle::spawn` is `run_coroutine_threadsafe`;
//! `block_on` with the task waits for its result, and the task's failure arrives there.
//! Stopping drops tasks at their await, where `asyncio.run` cancels them, but it waits
//! for a call in `spawn_blocking`, as `asyncio.run` does (`build_a_runtime` has the way
//! without). From async code do not wait like this, it panics: see
//! `call_async_from_sync`.
//!
//! asyncio: asyncio.run_coroutine_threadsafe, loop.call_soon_threadsafe, threading.Thread
//! asyncio: loop.stop, asyncio.AbstractEventLoop
//! clock: real

use std::error::Error;
use std::io;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::sleep;

/// A runtime that works in the background of a program that is not async.
pub struct BackgroundRuntime {
    handle: Handle,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl BackgroundRuntime {
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            // Ends when the sender is dropped, by `stop` or with the whole struct.
            let _ = runtime.block_on(stopped);
        });
        Ok(Self {
            handle,
            stop,
            thread,
        })
    }

    /// Starts the work and returns at once.
    pub fn spawn<F>(&self, work: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.handle.spawn(work)
    }

    /// Blocks until the work has ended.
    pub fn wait<T>(&self, task: JoinHandle<T>) -> Result<T, JoinError> {
        self.handle.block_on(task)
    }

    /// Stops the runtime: drops the tasks that still run, waits for blocking calls.
    pub fn stop(self) {
        drop(self.stop);
        self.thread
            .join()
            .expect("the thread only runs the runtime");
    }
}

async fn async_task(name: &str, millis: u64) -> Result<String, String> {
    println!("Task {name} starting");
    sleep(Duration::from_millis(millis)).await;
    if name == "broken" {
        return Err(format!("Task {name} failed"));
    }
    println!("Task {name} completed");
    Ok(format!("Result from {name}"))
}

fn blocking_call() {
    println!("The call begins");
    thread::sleep(Duration::from_millis(300));
    println!("The call ends");
}

/// The part of the program that is not async.
pub fn synchronous() -> Result<(), Box<dyn Error + Send + Sync>> {
    let background = BackgroundRuntime::start()?;
    let task = background.spawn(async_task("test", 1000));
    println!("{}", background.wait(task)??);

    println!("Two at once, while this thread does something else:");
    let good = background.spawn(async_task("good", 200));
    let broken = background.spawn(async_task("broken", 300));
    thread::sleep(Duration::from_millis(100));
    println!("Something else is done");
    println!("{}", background.wait(good)??);
    match background.wait(broken)? {
        Ok(result) => println!("{result}"),
        Err(error) => println!("Error: {error}"),
    }

    println!("Stopped while a task runs:");
    background.spawn(async_task("endless", 3_600_000));
    thread::sleep(Duration::from_millis(100));
    background.stop();
    println!("Stopped");

    println!("Stopped while a blocking call runs:");
    let background = BackgroundRuntime::start()?;
    background.spawn(async { spawn_blocking(blocking_call).await });
    thread::sleep(Duration::from_millis(100));
    background.stop();
    println!("Stopped");
    Ok(())
}

/// From async code this takes a thread on which blocking is allowed.
pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    spawn_blocking(synchronous).await?
}

pub fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    synchronous()
}
