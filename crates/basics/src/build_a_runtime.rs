//! Build a runtime without the macro: one thread or many, and what each is for.
//!
//! `#[tokio::main]` builds a runtime and calls `block_on`; by hand it can be kept, used
//! several times and dropped, as an `asyncio.Runner`. The thread of `new_current_thread`
//! (`flavor = "current_thread"` in the macro) is the caller's, as asyncio's is: its tasks
//! stand still between two calls of `block_on`. It suits tests and tools.
//! `new_multi_thread` has threads of its own, so its tasks go on meanwhile; servers use
//! it. Both have threads for blocking calls, as many as `max_blocking_threads` says, and
//! `shutdown_timeout` waits for these calls, but not for ever. Without `enable_all` a
//! sleep panics, "timers are disabled"; so does a runtime dropped in async code, "Cannot
//! drop a runtime in a context where blocking is not allowed": there
//! `shutdown_background` ends it.
//!
//! asyncio: asyncio.Runner, asyncio.Runner.run, asyncio.new_event_loop, loop.run_forever
//! asyncio: loop.run_until_complete, loop.create_task, loop.close
//! asyncio: asyncio.run(loop_factory=), asyncio.Runner.get_loop, asyncio.Runner.close
//! asyncio: asyncio.EventLoop, asyncio.SelectorEventLoop, loop.set_default_executor
//! asyncio: loop.shutdown_default_executor
//! clock: real

use std::error::Error;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio::try_join;

async fn hello() -> &'static str {
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

/// A plain function that uses both flavours: one thread, or one for each core.
pub fn both_flavours() -> Result<(), Box<dyn Error + Send + Sync>> {
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
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().max_blocking_threads(1).build()?;
    runtime.block_on(async {
        let first = spawn_blocking(|| blocking_call("first"));
        let second = spawn_blocking(|| blocking_call("second"));
        try_join!(first, second)
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(())
}

/// From async code it takes a thread on which blocking is allowed: `block_on` panics on
/// a thread that is running a runtime's tasks (see `call_async_from_sync`).
pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    spawn_blocking(both_flavours).await?
}

pub fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    both_flavours()
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    #[should_panic(
        expected = "Cannot drop a runtime in a context where blocking is not allowed"
    )]
    async fn a_runtime_is_not_dropped_in_async_code() {
        let runtime = super::Builder::new_current_thread().build();
        drop(runtime);
    }

    #[tokio::test]
    async fn shutdown_background_waits_for_nothing() {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let runtime = super::Builder::new_current_thread().build();
        let runtime = runtime.expect("it builds");
        let call = runtime.spawn_blocking(move || released.recv().is_err());
        runtime.shutdown_background();
        // The call has not ended: it waits for this line.
        drop(release);
        assert!(call.await.unwrap_or(true));
    }

    #[test]
    fn shutdown_timeout_waits_but_not_for_ever() {
        use std::sync::mpsc::channel;
        use std::time::Duration;

        for limit in [Duration::from_secs(20), Duration::from_millis(20)] {
            let (begin, begun) = channel();
            let (release, released) = channel::<()>();
            let (end, ended) = channel();
            let runtime = super::Builder::new_current_thread().build();
            let runtime = runtime.expect("it builds");
            runtime.spawn_blocking(move || {
                let _ = begin.send(());
                let _ = released.recv();
                let _ = end.send(());
            });
            begun.recv().expect("the call begins");
            let later = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(200));
                drop(release);
            });
            runtime.shutdown_timeout(limit);
            let is_long = limit > Duration::from_secs(1);
            assert_eq!(ended.try_recv().is_ok(), is_long);
            later.join().expect("it does not panic");
        }
    }

    #[test]
    #[should_panic(expected = "timers are disabled")]
    fn a_runtime_without_enable_all_has_no_timers() {
        let runtime = super::Builder::new_current_thread().build();
        runtime.expect("it builds").block_on(super::hello());
    }
}
