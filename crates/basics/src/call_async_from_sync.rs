//! Call async code from sync code: from a plain program, a thread, or under async code.
//!
//! A plain function cannot await; `block_on` is its `run_until_complete`. If it is called
//! under async code, however deep, it panics with "Cannot start a runtime from within a
//! runtime", as `asyncio.run` refuses a loop inside a loop. Call it by `spawn_blocking`,
//! on a thread where blocking is allowed; what cannot await that, deep down, says
//! `block_in_place`, for the multi-threaded runtime only. Whatever needs a runtime and
//! finds none panics with "there is no reactor running" (what watches timers and
//! sockets): ask `Handle::try_current` whether there is one, and enter a runtime by its
//! handle first. Where no runtime is asked for, the compiler speaks:
//! "expected `u32`, found future".
//!
//! asyncio: asyncio.run, asyncio.get_running_loop, asyncio.run_coroutine_threadsafe
//! asyncio: asyncio.set_event_loop, asyncio._get_running_loop, loop.is_running
//! clock: real
//! stderr: Cannot start a runtime from within a runtime
//! stderr: there is no reactor running
//! differs: the same two errors, with other texts

use std::any::Any;
use std::error::Error;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{JoinHandle, block_in_place, spawn_blocking};
use tokio::time::sleep;

type Failure = Box<dyn Error + Send + Sync>;

/// What async code awaits.
async fn fetch_price(item: &str) -> Result<u32, Failure> {
    sleep(Duration::from_millis(200)).await;
    match item {
        "tea" => Ok(3),
        _ => Err(format!("there is no {item}").into()),
    }
}

/// The same for callers that are not async: on a small runtime of its own.
pub fn price(item: &str) -> Result<u32, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(fetch_price(item))
}

/// For a plain function deep under async code, which cannot await `spawn_blocking`: the
/// runtime moves the other tasks of this thread to another one, and then it may block.
pub fn price_in_place(item: &str) -> Result<u32, Failure> {
    block_in_place(|| Handle::current().block_on(fetch_price(item)))
}

/// A plain function that starts a task, and so needs a runtime around it.
fn start_fetch() -> JoinHandle<Result<u32, Failure>> {
    tokio::spawn(fetch_price("tea"))
}

/// Looks whether this code runs under a runtime. A thread of `spawn_blocking` does, too.
fn look() {
    match Handle::try_current() {
        Ok(_) => println!("there is a loop here"),
        Err(_) => println!("there is no loop here"),
    }
}

/// The first words of what was panicked with.
fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref().copied());
    text.and_then(|text| text.split(['.', ',']).next())
        .unwrap_or("no text")
}

async fn under_async_code() -> Result<(), Failure> {
    println!("Under async code:");
    look();
    match tokio::spawn(async { price("tea") }).await {
        Ok(price) => println!("Tea costs {}", price?),
        Err(error) => println!("{}", panic_text(&*error.into_panic())),
    }

    println!("Under async code, on a thread where blocking is allowed:");
    println!("Tea costs {}", spawn_blocking(|| price("tea")).await??);

    println!("Under async code, in place:");
    let price = tokio::spawn(async { price_in_place("tea") }).await??;
    println!("Tea costs {price}");
    Ok(())
}

pub fn from_sync_code() -> Result<(), Failure> {
    println!("From a plain program:");
    println!("Tea costs {}", price("tea")?);
    match price("gold") {
        Ok(price) => println!("Gold costs {price}"),
        Err(error) => println!("Error: {error}"),
    }

    let runtime = Runtime::new()?;
    runtime.block_on(under_async_code())?;

    println!("On a thread that has no runtime:");
    let thread = thread::spawn(|| {
        look();
        start_fetch()
    });
    match thread.join() {
        Ok(_) => println!("The task has started"),
        Err(payload) => println!("{}", panic_text(&*payload)),
    }

    println!("On a thread that has a handle:");
    let handle = runtime.handle().clone();
    let thread = thread::spawn(move || {
        // Until the guard is dropped, at the end of the block, `tokio::spawn` and timers
        // find the runtime on this thread. Called `_` it would be dropped at once. It is
        // `set_event_loop` for so long.
        let _guard = handle.enter();
        let task = start_fetch();
        handle.block_on(task)
    });
    let price = thread.join().expect("the thread does not panic")??;
    println!("Tea costs {price}");
    Ok(())
}

/// From async code this, too, takes a thread on which blocking is allowed.
pub async fn run() -> Result<(), Failure> {
    spawn_blocking(from_sync_code).await?
}

pub fn main() -> Result<(), Failure> {
    from_sync_code()
}
