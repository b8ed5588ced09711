//! Feed a stream from a task through a bounded channel: producer and consumer, a queue.
//!
//! The producer runs while the consumer works. `ReceiverStream`, of the crate
//! `tokio-stream`, gives the receiver the methods of a stream, such as `map`; without it,
//! `recv()` in a loop is enough. The stream ends when the last sender is dropped. No
//! sentinel is needed, as with `Queue.shutdown` from Python 3.13 on.
//!
//! If the consumer drops the receiver, the next `send` fails. While a producer waits for
//! something else, such as a timer, that producer does not notice. So let it also await
//! `sender.closed()`, which returns when the receiver is gone.
//!
//! Bounds: The channel holds at most `CAPACITY` items. When it is full, each producer
//! that waits in `send` holds one more item.
//!
//! Trap: If you keep a sender only to clone it, the stream stays open and the loop never
//! ends. Drop that sender once the producers have their clones (see the example
//! `receiver_that_never_ends`).
//!
//! See also: `fan_in`, `buffered_in_order`, `pipeline`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.put, asyncio.Queue.get, asyncio.Queue.shutdown

use std::ops::Range;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;

const CAPACITY: usize = 2;

/// Sends the numbers of the range, each after a pause, until the receiver is dropped.
async fn produce(range: Range<u32>, millis: u64, numbers: mpsc::Sender<u32>) {
    for number in range {
        // With a plain sleep, only the next `send` would notice.
        tokio::select! {
            () = numbers.closed() => return println!("stopped in a pause"),
            () = sleep(Duration::from_millis(millis)) => {}
        }
        println!("sending {number}");
        if numbers.send(number).await.is_err() {
            return println!("stopped in a send");
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    let busy = Duration::from_millis(400);

    println!("A slow consumer, of batches:");
    let (sender, receiver) = mpsc::channel(CAPACITY);
    tokio::spawn(produce(1..8, 100, sender));
    let mut batches = ReceiverStream::new(receiver).chunks(2);
    while let Some(batch) = batches.next().await {
        println!("got {batch:?}");
        sleep(busy).await;
    }

    println!("A consumer that leaves:");
    for millis in [100, 300] {
        let (sender, mut receiver) = mpsc::channel(CAPACITY);
        let producer = tokio::spawn(produce(1..9, millis, sender));
        if let Some(number) = receiver.recv().await {
            println!("got {number}");
            sleep(busy).await;
        }
        println!("that is enough");
        drop(receiver);
        producer.await?;
    }
    Ok(())
}
