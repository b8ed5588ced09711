//! Stop a loop over a stream gracefully when a stop signal arrives.
//!
//! `take_until` ends the stream when its future is ready, here the `CancellationToken`,
//! Tokio's answer to an `asyncio.Event` that says stop. The loop ends between two items,
//! never inside its body, and also while it waits for the next one. A `&mut` to a stream
//! is a stream too: lent like this to `take_until` instead of given away, the stream
//! still holds afterwards what nobody has taken. The trap is to cancel the loop as a
//! whole, as with `Task.cancel`: the item in work is lost.
//!
//! asyncio: asyncio.Event, asyncio.wait, asyncio.Queue.get, asyncio.Task.cancel

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

/// Works on one order for 300 ms.
async fn handle(order: u32) {
    println!("order {order}: begun");
    sleep(Duration::from_millis(300)).await;
    println!("order {order}: finished");
}

/// Works on every order until there are no more, or until it is told to stop.
pub async fn handle_until(
    stop: &CancellationToken,
    orders: &mut (impl Stream<Item = u32> + Unpin),
) {
    let mut orders = pin!(orders.take_until(stop.cancelled()));
    while let Some(order) = orders.next().await {
        handle(order).await;
    }
}

/// A token that is cancelled after so many milliseconds, as a signal handler would.
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

/// Three orders that wait in a queue, and the sender for more.
fn open_shop() -> (mpsc::UnboundedSender<u32>, UnboundedReceiverStream<u32>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    for order in 1..=3 {
        sender
            .send(order)
            .expect("the receiver is in this function");
    }
    (sender, UnboundedReceiverStream::new(receiver))
}

pub async fn run() {
    println!("Cancelled as a whole, the loop loses order 2:");
    let (sender, mut orders) = open_shop();
    drop(sender);
    stop_after(400)
        .run_until_cancelled(async {
            while let Some(order) = orders.next().await {
                handle(order).await;
            }
        })
        .await;
    println!("left: {:?}", orders.collect::<Vec<_>>().await);

    println!("Stopped between two orders:");
    let (sender, mut orders) = open_shop();
    drop(sender);
    handle_until(&stop_after(400), &mut orders).await;
    println!("left: {:?}", orders.collect::<Vec<_>>().await);

    println!("Stopped while it waits for an order:");
    let (sender, mut orders) = open_shop();
    handle_until(&stop_after(1100), &mut orders).await;
    sender.send(4).expect("the receiver is still here");
    drop(sender);
    println!("left: {:?}", orders.collect::<Vec<_>>().await);
}

#[tokio::main]
pub async fn main() {
    run().await;
}
