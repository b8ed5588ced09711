//! Test cancellation: drop a future at each of its awaits, and see what is lost.
//!
//! A timeout, or a `select!` that another branch wins, may drop a future at any await. A
//! test that cancels after some milliseconds tries only one of them. So `at_each_await`
//! below calls your test again and again. The first call drops the future at its first
//! wait. The second call drops a new future at its second wait, and so on, until a future
//! completes.
//!
//! An await that is ready immediately does not count, because the future does not wait
//! there. So let your test make each await wait for a moment, and then end the wait. For
//! example, let the future receive from an empty channel, to which another task sends
//! 10 ms later, as in `main`. In the same way, a send waits while the channel is full,
//! and `lock` waits while another task holds the lock.
//!
//! Trap: If a future keeps a received value in a local variable over an await, and is
//! dropped there, the value is lost. Keep the value in a struct that outlives the future.
//! Or take the value only after the last await: for example, first await a place in the
//! queue with `tokio::sync::mpsc::Sender::reserve`, and then take the item that you send.
//!
//! See also: `cancel_safety`, `property_test`, `batching`.
//!
//! asyncio: asyncio.CancelledError, asyncio.Queue.get, asyncio.Queue.put, __await__

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Drops the future when it waits for the time `number`, counted from one, and returns
/// `None`. Await it alone in its task: in a `join!`, wake-ups of the other branches count
/// too.
pub async fn cancel_at<F: Future>(number: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut suspensions = 0;
    let output = poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        suspensions += 1;
        if suspensions == number {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    });
    output.await
}

/// Calls the test with 1, 2, 3 and so on, until it returns `true`: its future completed.
/// Returns at how many awaits a future was dropped.
///
/// # Errors
///
/// The first error that the test returns.
pub async fn at_each_await<C, E>(mut test: impl FnMut(usize) -> C) -> Result<usize, E>
where
    C: Future<Output = Result<bool, E>>,
{
    let mut number = 1;
    while !test(number).await? {
        number += 1;
    }
    Ok(number - 1)
}

/// Drops a future at each of its awaits: the second await loses the item.
#[tokio::main]
async fn main() -> Result<(), std::convert::Infallible> {
    let delay = std::time::Duration::from_millis(10);
    let awaits = at_each_await(async |number| {
        let (sender, mut items) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            sender.send("an item").await
        });
        let receive_and_work = async {
            let item = items.recv().await;
            tokio::time::sleep(delay).await;
            item
        };
        let is_completed = cancel_at(number, receive_and_work).await.is_some();
        match (is_completed, items.recv().await) {
            (true, _) => println!("completed"),
            (false, Some(_)) => println!("dropped at await {number}: nothing is lost"),
            (false, None) => println!("dropped at await {number}: the item is lost"),
        }
        Ok::<_, std::convert::Infallible>(is_completed)
    });
    println!("{} awaits", awaits.await?);
    Ok(())
}

//@ try: -> dropped at await 2: the item is lost
