//! Put an item into a queue without waiting: `put_nowait`, or drop the oldest if full.
//!
//! `try_send` of a `tokio::sync::mpsc` sender is `put_nowait`. Its error contains the
//! item, so you get the item back. The error is `Full` if the queue is full, as asyncio's
//! `QueueFull`, or `Closed` if the receiver is dropped. An `asyncio.Queue` cannot know
//! whether anybody still receives. `try_recv` is `get_nowait`. In place of `full` and
//! `empty`, use `capacity() == 0` of the sender and `is_empty` of the receiver. Their
//! answers are true only until another task sends or receives.
//!
//! If the newest items matter most, drop the oldest. A sender of Tokio cannot take the
//! oldest item out of the queue. `force_send` of the crate `async-channel` can: it
//! replaces the oldest item of a full queue, and returns the old item.
//!
//! Trap: If you retry after every error, the loop never ends once the receiver is
//! dropped, because `Closed` is final. Retry only after `Full`.
//!
//! See also: `broadcast` (every receiver may miss items), `watch_a_value`,
//! `back_pressure`.
//!
//! asyncio: asyncio.Queue.put_nowait, asyncio.QueueFull, asyncio.Queue.get_nowait
//! asyncio: asyncio.Queue.full, asyncio.Queue.empty

use std::time::Duration;

use async_channel::SendError;
use tokio::join;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::sleep;

/// Offers a number without waiting. Returns whether the receiver still exists.
fn offer(number: u32, queue: &mpsc::Sender<u32>) -> bool {
    match queue.try_send(number) {
        Ok(()) => println!("{number} put"),
        Err(TrySendError::Full(number)) => println!("{number} refused: full"),
        Err(TrySendError::Closed(number)) => {
            println!("{number} refused: nobody takes it");
            return false;
        }
    }
    true
}

async fn process(number: u32) {
    println!("processing {number}");
    sleep(Duration::from_millis(350)).await;
}

/// Offers seven numbers. If the queue is full, each replaces the oldest one.
async fn offer_the_freshest(
    queue: async_channel::Sender<u32>,
) -> Result<(), SendError<u32>> {
    for number in 0..7 {
        if let Some(oldest) = queue.force_send(number)? {
            println!("{oldest} dropped for {number}");
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[tokio::main]
async fn main() {
    println!("Refused when the queue is full:");
    let (sender, mut receiver) = mpsc::channel(2);
    let consume_three = async move {
        for _ in 0..3 {
            if let Some(number) = receiver.recv().await {
                process(number).await;
            }
        }
    };
    let produce = async {
        for number in 0.. {
            if !offer(number, &sender) {
                return;
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    join!(produce, consume_three);

    println!("The oldest is dropped when the queue is full:");
    let (sender, receiver) = async_channel::bounded(2);
    tokio::spawn(offer_the_freshest(sender));
    while let Ok(number) = receiver.recv().await {
        process(number).await;
    }
}
