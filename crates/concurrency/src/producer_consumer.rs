//! Producer and consumer: hand items over in a bounded queue, until there are no more.
//!
//! `mpsc::channel(n)` is an `asyncio.Queue(n)` with two ends. `send` waits while it is
//! full, which holds back a producer that is too fast; `asyncio.Queue()` without a number
//! has no limit. No end mark is needed: `recv` gives `None` once every sender has
//! been dropped and the queue is empty. That is the trap, too: a producer that fails
//! drops its sender, and the consumer sees an ordinary end. So await the producer and
//! look at its result. In asyncio the end mark goes into a `finally`, or the consumer
//! waits for it in vain. A consumer that leaves: `channel_stream`.
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

/// Takes what comes, and is busy with each for so long.
async fn consumer(busy: Duration, mut queue: mpsc::Receiver<u32>) -> u32 {
    let mut consumed = 0;
    while let Some(item) = queue.recv().await {
        println!("Consuming {item}");
        sleep(busy).await;
        consumed += 1;
    }
    consumed
}

pub async fn run() -> Result<(), Failure> {
    println!("A consumer that keeps up:");
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let producer_task = tokio::spawn(producer(3, sender));
    let consumed = consumer(Duration::from_millis(50), receiver).await;
    producer_task.await??;
    println!("{consumed} consumed");

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

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
