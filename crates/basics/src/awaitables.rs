//! What can be awaited: coroutines, tasks, futures, and a future written by hand.
//!
//! Whatever implements `Future` can be awaited: an async function's future, a task's
//! handle, the receiver of a `oneshot`, or a type of your own. The runtime calls `poll`.
//! A future that is not ready passes the waker to an event source, which later wakes the
//! task. A plain function's result cannot be awaited: it "is not a future".
//!
//! Trap: a task can be awaited only once ("use of moved value"). For several waiters,
//! `shared` of `FutureExt` clones the result. `io::Error` needs an `Arc`: "the trait
//! `Clone` is not implemented for `std::io::Error`".
//!
//! Trap: if a waiter of a `Shared` is dropped, another may never be woken
//! (rust-lang/futures-rs#2706). If waiters can be cancelled, use a `watch` channel.
//!
//! See also: `oneshot_and_set_once`, `done_callbacks`, `yield_now`.
//!
//! asyncio: await, loop.create_future, asyncio.Future.set_result, __await__
//! asyncio: asyncio.Future

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::FutureExt;
use tokio::join;
use tokio::sync::oneshot;
use tokio::time::sleep;

async fn my_coroutine() -> &'static str {
    sleep(Duration::from_secs(1)).await;
    "Result"
}

/// Is pending for `left` polls, then ready.
pub struct Countdown {
    left: u32,
}

impl Future for Countdown {
    type Output = &'static str;

    // `Pin` says that the future no longer moves. This one could: it holds no references
    // to itself.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<&'static str> {
        if self.left == 0 {
            return Poll::Ready("Lift-off");
        }
        println!("{}", self.left);
        self.left -= 1;
        // Asks to be polled again at once. A real future hands a clone of the waker to
        // whatever will bring its result: to wake at once keeps a core busy.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("A coroutine:");
    let result = my_coroutine().await;
    println!("{result}");

    println!("A task:");
    let task = tokio::spawn(my_coroutine());
    let result = task.await?;
    println!("{result}");

    println!("A result for two waiters:");
    let shared = my_coroutine().shared();
    let (first, second) = join!(shared.clone(), shared);
    println!("{first}, {second}");

    println!("A future whose result is set elsewhere:");
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        sleep(Duration::from_millis(500)).await;
        // An error says that the receiver was dropped.
        let _ = sender.send("value");
    });
    let result = receiver.await?;
    println!("{result}");

    println!("A future written by hand:");
    let result = Countdown { left: 3 }.await;
    println!("{result}");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
