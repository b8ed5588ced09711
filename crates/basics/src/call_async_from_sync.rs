//! Call async code from sync code: from a plain program, a thread, or under async code.
//!
//! A plain function cannot await. It builds a runtime (Tokio's event loop) and calls
//! `block_on`, as Python calls `asyncio.run`. If you forget `block_on`, the compiler
//! reports "expected `u32`, found future".
//!
//! If async code calls this plain function, let it do so through `spawn_blocking`: the
//! function then runs on another thread, where it may block. Perhaps the plain function
//! is deep under async code, and you cannot change its callers. Then put its `block_on`
//! into `block_in_place`, which tells Tokio that this thread will block. `block_in_place`
//! needs a multi-thread runtime.
//!
//! A thread that you have started reaches a runtime through a `Handle`, a reference that
//! you clone.
//!
//! In Python, do not use `get_event_loop` in a plain function: without a running loop, it
//! is deprecated, and an error from 3.14 on.
//!
//! Trap: If you call `block_on` on a thread that runs async code, it panics, "Cannot
//! start a runtime from within a runtime". `asyncio.run` refuses this as well. Use
//! `spawn_blocking` or `block_in_place`, as above. The crate `futures` has another
//! `block_on`, which does not panic there: it blocks the thread, and often hangs.
//!
//! Trap: If you call `tokio::spawn` or use timers and sockets outside a runtime, they
//! panic, "there is no reactor running". Use them inside `block_on`, or check first with
//! `Handle::try_current`, which returns an error where there is no runtime.
//!
//! See also: `runtime_on_a_thread`, `spawn_from_a_thread`, `blocking_vs_async`.
//!
//! asyncio: asyncio.run, asyncio.get_running_loop, asyncio.run_coroutine_threadsafe
//! asyncio: asyncio.set_event_loop, asyncio._get_running_loop, loop.is_running

use std::error::Error;
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::task::{block_in_place, spawn_blocking};
use tokio::time::sleep;

type BoxError = Box<dyn Error + Send + Sync>;

/// Returns the price.
pub async fn fetch_price(item: &str) -> Result<u32, BoxError> {
    sleep(Duration::from_millis(200)).await;
    match item {
        "tea" => Ok(3),
        _ => Err(format!("there is no {item}").into()),
    }
}

/// Returns the price to a caller that is not async, by its own small runtime.
///
/// # Panics
///
/// On a thread that runs async code.
pub fn price(item: &str) -> Result<u32, BoxError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(fetch_price(item))
}

/// Returns the price to a plain function deep under async code, which cannot await
/// `spawn_blocking`. The runtime moves the other tasks of this thread to another thread.
///
/// # Panics
///
/// On a current-thread runtime, and outside any runtime.
pub fn price_in_place(item: &str) -> Result<u32, BoxError> {
    block_in_place(|| Handle::current().block_on(fetch_price(item)))
}

async fn under_async_code() -> Result<(), BoxError> {
    println!("Under async code, on a thread where blocking is allowed:");
    println!("Tea costs {}", spawn_blocking(|| price("tea")).await??);

    println!("Under async code, in place:");
    let price = tokio::spawn(async { price_in_place("tea") }).await??;
    println!("Tea costs {price}");
    Ok(())
}

pub fn main() -> Result<(), BoxError> {
    println!("From a plain program:");
    println!("Tea costs {}", price("tea")?);
    match price("gold") {
        Ok(price) => println!("Gold costs {price}"),
        Err(error) => println!("Error: {error}"),
    }

    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(under_async_code())?;

    println!("On a thread that has a handle:");
    let handle = runtime.handle().clone();
    let thread = thread::spawn(move || {
        // Until the guard is dropped, `tokio::spawn` and timers find the runtime on this
        // thread. Bound to `_` it would be dropped immediately.
        let _guard = handle.enter();
        let task = tokio::spawn(fetch_price("tea"));
        handle.block_on(task)
    });
    let price = thread.join().expect("the thread does not panic")??;
    println!("Tea costs {price}");
    Ok(())
}

//@ clock: real
