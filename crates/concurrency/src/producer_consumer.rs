//! Producer and consumer: hand items over in a bounded queue, until there are no more.
//!
//! `tokio::sync::mpsc::channel(n)` is an `asyncio.Queue(n)` with two ends, a sender and a
//! receiver. `send` waits while the queue is full, which holds back a fast producer.
//! `asyncio.Queue()` without a number has no limit; in Tokio that is `unbounded_channel`.
//! `recv` returns `None` once the queue is empty and all senders are dropped. So the
//! producer ends the queue by dropping its sender, where in asyncio it calls `shutdown`
//! in a `finally`. `len()` of the receiver is `qsize()`, and `capacity()` is the number
//! of items that still fit.
//!
//! Bounds: The queue holds 2 items; above that, `send` waits.
//!
//! Trap: If you only read to the end of the queue, you do not notice that the producer
//! has failed. Its sender is dropped then, and the queue ends as after a success. Await
//! the producer's task too, and look at its result.
//!
//! See also: `queue_shutdown`, `receiver_that_never_ends`, `channel_stream`, `pipeline`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.put, asyncio.Queue.get, finally

use std::error::Error;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

/// Any error that may move to another thread.
type Failure = Box<dyn Error + Send + Sync>;

const CAPACITY: usize = 2;

/// Sends the numbers below `end`, one every 100 ms. There is no number 5.
async fn producer(end: u32, queue: mpsc::Sender<u32>) -> Result<(), Failure> {
    for i in 0..end {
        sleep(Duration::from_millis(100)).await;
        if i == 5 {
            return Err(format!("there is no {i}").into());
        }
        println!("Producing {i}");
        queue.send(i).await?;
    }
    Ok(())
}

/// Consumes all items, which takes `busy` for each, and returns how many there were.
async fn consumer(busy: Duration, mut queue: mpsc::Receiver<u32>) -> u32 {
    let mut consumed = 0;
    while let Some(item) = queue.recv().await {
        println!("Consuming {item}");
        sleep(busy).await;
        consumed += 1;
    }
    consumed
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    println!("A slow consumer:");
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let producer_task = tokio::spawn(producer(5, sender));
    let consumed = consumer(Duration::from_millis(450), receiver).await;
    producer_task.await??;
    println!("{consumed} consumed");

    println!("A producer that fails:");
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let producer_task = tokio::spawn(producer(7, sender));
    let consumed = consumer(Duration::from_millis(50), receiver).await;
    println!("{consumed} consumed");
    if let Err(error) = producer_task.await? {
        println!("Error: {error}");
    }
    Ok(())
}
