//! Build a runtime without the macro: one thread or many, and what each is for.
//!
//! If you build a runtime (Tokio's event loop), you can keep it, use it again and drop
//! it, like an `asyncio.Runner`. `new_current_thread` runs tasks on the caller's thread,
//! as asyncio does, and only during `block_on`. `new_multi_thread` has its own threads,
//! so its tasks run all the time: servers use it. Both runtimes have further threads for
//! blocking calls.
//!
//! A multi-thread runtime has one thread for each core that the process may use; a
//! container's CPU limit lowers that number. `worker_threads` sets the number in code,
//! the environment variable `TOKIO_WORKER_THREADS` from outside.
//!
//! Bounds: Each runtime has at most 512 threads for blocking calls
//! (`max_blocking_threads`). Further calls wait. `shutdown_timeout` limits the wait for
//! blocking calls at the end.
//!
//! Trap: If you do not call `enable_all` on the `Builder`, the runtime has neither timers
//! nor sockets, and a sleep panics, "timers are disabled". Call `enable_all` before
//! `build`.
//!
//! Trap: If a runtime is dropped in async code, the program panics, "Cannot drop a
//! runtime in a context where blocking is not allowed". Call `shutdown_background`
//! instead.
//!
//! See also: `runtime_on_a_thread`, `runtime_per_thread`, `call_async_from_sync`.
//!
//! asyncio: asyncio.Runner, asyncio.Runner.run, asyncio.new_event_loop
//! asyncio: loop.run_forever, loop.run_until_complete, loop.create_task, loop.close

use std::thread;
use std::time::Duration;

use tokio::time::sleep;

pub async fn hello() -> &'static str {
    println!("Hello");
    sleep(Duration::from_millis(200)).await;
    "World"
}

async fn count() {
    for number in 1..=2 {
        println!("Count {number}");
        sleep(Duration::from_millis(100)).await;
    }
}

fn blocking_call(name: &str) {
    thread::sleep(Duration::from_millis(100));
    println!("The {name} call ends");
}

pub fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    use tokio::runtime::Builder;

    println!("One thread, the caller's:");
    let runtime = Builder::new_current_thread().enable_all().build()?;
    println!("{}", runtime.block_on(hello()));
    let task = runtime.spawn(count());
    thread::sleep(Duration::from_millis(500));
    println!("Half a second of something else");
    runtime.block_on(task)?;

    println!("Threads of its own:");
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    println!("{}", runtime.block_on(hello()));
    let task = runtime.spawn(count());
    thread::sleep(Duration::from_millis(500));
    println!("Half a second of something else");
    runtime.block_on(task)?;

    println!("One thread for blocking calls, of which there are two:");
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()?;
    runtime.block_on(async {
        let first = tokio::task::spawn_blocking(|| blocking_call("first"));
        let second = tokio::task::spawn_blocking(|| blocking_call("second"));
        tokio::try_join!(first, second)
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

//@ clock: real
