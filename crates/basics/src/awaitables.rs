//! What can be awaited: coroutines, tasks, futures, and a future written by hand.
//!
//! Whatever is a `Future` can be awaited: an async function's future, a task's handle,
//! the receiver of a `oneshot` (for `asyncio.Future`; the sender sets the result), or a
//! type of your own. The runtime asks a future for progress by calling `poll`. A future
//! that is not ready sees to it that its waker is called when it is worth asking again.
//! Awaiting a plain function's result is refused, it "is not a future"; so is an await
//! outside of async code: "`await` is only allowed inside `async` functions and blocks".
//! A task can be awaited only once, unlike in Python: the second time is a "use of moved
//! value". For several who wait there is `shared` of `FutureExt`.
//!
//! asyncio: await, loop.create_future, asyncio.Future.set_result, __await__
//! asyncio: asyncio.Future, asyncio.Future.cancel

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

/// Is ready when it has been polled `left` times before.
pub struct Countdown {
    left: u32,
}

impl Future for Countdown {
    type Output = &'static str;

    // `Pin` promises that the future is not moved any more; this one would not mind.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<&'static str> {
        if self.left == 0 {
            return Poll::Ready("Lift-off");
        }
        println!("{}", self.left);
        self.left -= 1;
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

    println!("A result for two who wait:");
    let shared = my_coroutine().shared();
    let (first, second) = join!(shared.clone(), shared);
    println!("{first}, {second}");

    println!("A future whose result is set elsewhere:");
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        sleep(Duration::from_millis(500)).await;
        // An error here would mean that the receiver is gone: nobody waits any more.
        let _ = sender.send("value");
    });
    let result = receiver.await?;
    println!("{result}");

    println!("A future that nobody can set any more:");
    let (sender, receiver) = oneshot::channel::<&str>();
    drop(sender);
    match receiver.await {
        Ok(result) => println!("{result}"),
        Err(_) => println!("No result"),
    }

    println!("A future written by hand:");
    let result = Countdown { left: 3 }.await;
    println!("{result}");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
