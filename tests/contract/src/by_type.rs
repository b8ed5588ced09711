//! What asyncio refuses at run time, and Rust when it compiles.
//!
//! A probe asks whether a type has the trait that the call, or a second use of the value,
//! would need.
//!
//! asyncio: asyncio.ensure_future, asyncio.gather, asyncio.Semaphore, async def
//! differs: a mistake of types does not compile

#![cfg(unix)]

use std::any::type_name_of_val;
use std::future::{Pending, pending};
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, OwnedFd};
use std::thread;

use async_stream::stream;
use futures::Stream;
use tokio::io::duplex;
use tokio::io::unix::AsyncFd;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpStream, ToSocketAddrs, UdpSocket};
use tokio::process::Child;
use tokio::runtime::Runtime;
use tokio::sync::oneshot::{self, Sender};
use tokio::sync::{Barrier, MutexGuard, Semaphore, SemaphorePermit};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Timeout;

use crate::support::scheduled_callbacks::TimerHandle;
use crate::support::{millis, try_together};

/// Tells whether a type has a trait: `compiles!([TYPE] TRAIT)`. A function of the type is
/// found before one of a trait.
macro_rules! compiles {
    ([$type:ty] $($bound:tt)+) => {
        compiles!(PhantomData::<$type> => $($bound)+)
    };
    ($kind:expr => $($bound:tt)+) => {{
        struct Of<T>(PhantomData<T>);
        #[allow(dead_code)]
        trait Not {
            fn has(&self) -> bool { false }
        }
        impl<T> Not for Of<T> {}
        #[allow(dead_code)]
        impl<T: $($bound)+> Of<T> {
            fn has(&self) -> bool { true }
        }
        let of = Of($kind);
        let told = of.has();
        async move { format!("compiles: {told}") }
    }};
}

/// Names the type of a value that nobody can write.
fn kind<T>(_: T) -> PhantomData<T> {
    PhantomData
}

async fn work() {}

fn items() -> impl Stream<Item = i32> {
    stream! { yield 1 }
}

/// Names what a call returns.
async fn returns<T>(call: impl FnOnce() -> T) -> String {
    format!("returns {}", type_name_of_val(&call()))
}

async fn abort_returns() -> String {
    let task = tokio::spawn(pending::<()>());
    returns(|| task.abort()).await
}

async fn drop_returns() -> String {
    let (_sender, receiver) = oneshot::channel::<()>();
    returns(|| drop(receiver)).await
}

async fn reader_without_a_loop() -> String {
    let made = thread::spawn(|| duplex(10)).join().is_ok();
    format!("is made: {made}")
}

#[tokio::main]
async fn main() {
    assert_eq!(compiles!([String] Clone).await, "compiles: true");
    try_together! { millis(1_000),
        // Not a value that can be awaited.
        "semaphore.await.refused" => compiles!([Semaphore] IntoFuture),
        "barrier.await.refused" => compiles!([Barrier] IntoFuture),
        "ensure_future.neither-refused" => compiles!([i32] IntoFuture),
        "create_task.args.no-coroutine-refused" => compiles!([i32] Future),
        "gather.args.wrong-refused" => compiles!([i32] Future),
        "as_completed.args.wrong-refused" => compiles!([i32] IntoIterator),
        "coroutine.await.refused" => compiles!([i32] IntoFuture),
        "loop.run.only-awaitables" => compiles!([i32] Future),
        "for.no-iterator" => compiles!([Vec<i32>] Stream),
        "iterator.arguments-refused" => compiles!([i32] Stream),
        // Not the type of an argument.
        "queue.maxsize.takes-float" => compiles!([f64] Into<usize>),
        "semaphore.value.negative-refused" => compiles!([i32] Into<usize>),
        "barrier.parties.negative-refused" => compiles!([i32] Into<usize>),
        "stream.limit.zero-refused" => compiles!([i32] Into<usize>),
        "stream.readuntil.empty-separator" => compiles!([&'static [u8]] Into<u8>),
        "transport.write.text-refused" => compiles!([&'static str] Into<&'static [u8]>),
        "add_reader.no-descriptor" => compiles!([&'static str] AsRawFd),
        "datagram.arguments.refused" => compiles!([()] ToSocketAddrs),
        "loop.call_soon.arguments" => compiles!([i32] FnOnce()),
        "timer_handle.compares" => compiles!([TimerHandle] PartialOrd),
        // Not to be used twice.
        "gather.duplicates.run-once" => compiles!(kind(work()) => Clone),
        "as_completed.duplicates.count-once" => compiles!(kind(work()) => Clone),
        "coroutine.await.twice" => compiles!(kind(work()) => Clone),
        "coroutine.copied" => compiles!(kind(work()) => Clone),
        "generator.aclose.twice" => compiles!(kind(items()) => Clone),
        "timeout.block.entered-once" => compiles!([Timeout<Pending<()>>] Clone),
        "wait.duplicates.count-once" => compiles!([JoinHandle<()>] Clone),
        "future.add_done_callback.of-a-task" => compiles!([JoinHandle<()>] Clone),
        "task_group.enter.once" => compiles!([JoinSet<()>] Clone),
        "lock.release.not-acquired-refused" => compiles!([MutexGuard<'static, ()>] Clone),
        "bounded_semaphore.release.refused" => {
            compiles!([SemaphorePermit<'static>] Clone)
        },
        "future.set_result.twice-refused" => compiles!([Sender<()>] Clone),
        "remove_reader.twice" => compiles!([AsyncFd<OwnedFd>] Clone),
        "add_reader.of-a-transport" => compiles!([TcpStream] Clone),
        "stream.drain.many-tasks" => compiles!([OwnedWriteHalf] Clone),
        "datagram.sendto.after-close" => compiles!([UdpSocket] Clone),
        "process.wait.many-tasks" => compiles!([Child] Clone),
        "loop.close.twice" => compiles!([Runtime] Clone),
        "runner.close.refuses" => compiles!([Runtime] Clone),
        // Not returned, not needed.
        "task.cancel.returns-bool" => abort_returns(),
        "future.cancel.returns-bool" => drop_returns(),
        "stream.reader.needs-loop" => reader_without_a_loop(),
    }
}

//@ clock: real
