//! Stop a loop over a stream gracefully when a stop signal arrives.
//!
//! `take_until` ends the stream when a future completes. Here the future waits for a
//! `CancellationToken`, which replaces an `asyncio.Event` that means stop. The loop ends
//! between two items, or while it waits for the next item, but never inside its body.
//! Call `take_until` on a `&mut` of the stream: then the stream still has the remaining
//! items after the loop.
//!
//! Trap: If you cancel the whole loop instead, as the first part of `main` does with
//! `run_until_cancelled`, the loop is dropped at its current await. The item that its
//! body is working on is lost. `Task.cancel` does the same to a loop in Python. End the
//! stream with `take_until`, as `handle_until` does.
//!
//! See also: `paused_stream`, `take_until_deadline`, `graceful_shutdown`.
//!
//! asyncio: asyncio.Event, asyncio.wait, asyncio.Queue.get, asyncio.Task.cancel

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::time::sleep;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

/// Works on one order for 300 ms.
async fn handle(order: u32) {
    println!("order {order}: begun");
    sleep(Duration::from_millis(300)).await;
    println!("order {order}: finished");
}

/// Works on the orders until the stream ends or `stop` is cancelled.
///
/// Dropping this future loses the current order, but none that is still in the stream.
pub async fn handle_until(
    stop: &CancellationToken,
    orders: &mut (impl Stream<Item = u32> + Unpin),
) {
    let mut orders = pin!(orders.take_until(stop.cancelled()));
    while let Some(order) = orders.next().await {
        handle(order).await;
    }
}

/// Returns a token that is cancelled after so many milliseconds, as by a signal handler.
fn stop_after(millis: u64) -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(millis)).await;
        println!("stop!");
        token.cancel();
    });
    stop
}

/// Returns a queue that holds the orders up to this one, and the sender for more.
fn open_shop(last: u32) -> (UnboundedSender<u32>, UnboundedReceiverStream<u32>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    for order in 1..=last {
        let sent = sender.send(order);
        sent.expect("the receiver is in this function");
    }
    (sender, UnboundedReceiverStream::new(receiver))
}

#[tokio::main]
async fn main() {
    println!("Cancelled as a whole, the loop loses order 2:");
    let (_, mut orders) = open_shop(3);
    let never = CancellationToken::new();
    let whole_loop = handle_until(&never, &mut orders);
    stop_after(400).run_until_cancelled(whole_loop).await;
    println!("left: {:?}", orders.collect::<Vec<_>>().await);

    println!("Stopped between two orders:");
    let (_, mut orders) = open_shop(3);
    handle_until(&stop_after(400), &mut orders).await;
    println!("left: {:?}", orders.collect::<Vec<_>>().await);

    println!("Stopped while it waits for an order:");
    let (sender, mut orders) = open_shop(1);
    handle_until(&stop_after(400), &mut orders).await;
    sender.send(2).expect("the receiver is still here");
    drop(sender);
    println!("left: {:?}", orders.collect::<Vec<_>>().await);
}
