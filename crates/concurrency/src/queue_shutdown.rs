//! Shut a queue down: accept no more items, process the items in it, then end.
//!
//! Either the producers stop and drop their senders, or the consumer calls `close` of the
//! receiver, which is `shutdown` of an `asyncio.Queue` (Python 3.13). After `close`,
//! `recv` returns the items in the queue and then `None`. A `send` that waits for a place
//! returns an error, and a forgotten sender no longer keeps the consumer waiting. To stop
//! immediately, call `close` and throw away the items in the queue.
//!
//! A producer can also reserve a place with `reserve`, and send into the place later. A
//! reserved place (a permit) that is kept unused keeps `recv` waiting, even after
//! `close`. So use or drop a permit soon. If the receiver has been dropped, `send` of the
//! permit loses the item without an error.
//!
//! Trap: If you empty the closed queue with `try_recv`, you may miss an item. Its sender
//! may have reserved a place before the close, and may send the item only later. Empty
//! the queue with `recv`, which waits for that item, until `recv` returns `None`.
//!
//! Trap: If you put a sentinel into the queue, as is common in Python, it ends only one
//! consumer. If each consumer puts the sentinel back for the next, the last one stays in
//! the queue, and asyncio's `join` waits forever. Drop the senders or call `close`
//! instead: both end all consumers.
//!
//! See also: `queue_join`, `drain_what_waits`, `graceful_shutdown`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.shutdown, asyncio.Queue.shutdown(immediate=True)
//! asyncio: asyncio.QueueShutDown

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::sleep;

const CAPACITY: usize = 2;

/// Adds items until the queue is closed.
async fn producer(queue: mpsc::Sender<String>) {
    for number in 0.. {
        let item = format!("item-{number}");
        let Ok(place) = queue.reserve().await else {
            println!("{item} came too late");
            return;
        };
        println!("{item} added");
        place.send(item);
        sleep(Duration::from_millis(100)).await;
    }
}

async fn process(item: String) {
    println!("processing {item}");
    sleep(Duration::from_millis(350)).await;
}

/// Closes the queue after two items, and processes the items that are left in it.
async fn consumer(mut queue: mpsc::Receiver<String>) {
    let mut processed = 0;
    while let Some(item) = queue.recv().await {
        process(item).await;
        processed += 1;
        if processed == 2 {
            println!("closing the queue");
            queue.close();
        }
    }
    println!("drained");
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    println!("Closed, and drained:");
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let producer_task = tokio::spawn(producer(sender.clone()));
    consumer(receiver).await;
    producer_task.await?;
    // This sender has lived until here, and the consumer has ended all the same.
    drop(sender);

    println!("Closed, and the rest taken out:");
    let (sender, mut receiver) = mpsc::channel(CAPACITY);
    let producer_task = tokio::spawn(producer(sender));
    if let Some(item) = receiver.recv().await {
        process(item).await;
    }
    receiver.close();
    while let Some(item) = receiver.recv().await {
        println!("{item} is left");
    }
    producer_task.await
}

//@ order: added
//@ order: came too late
