//! Feed a stream from a task, through a bounded channel.
//!
//! The producer runs by itself, so it works while the consumer does, and at most the
//! channel's capacity ahead of it: `send` waits when the channel is full. No end mark is
//! needed, for the stream ends once every sender is dropped. The trap is the other end:
//! nobody cancels a producer whose consumer has left, so it must stop when `send` fails.
//! Where the producer need not work ahead, a plain generator does (`generator`).
//!
//! asyncio: Queue(maxsize), put, get, create_task

use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;

/// Sends 1 to 5, each after 200 ms, until nobody listens.
async fn produce(numbers: mpsc::Sender<u32>) {
    for number in 1..=5 {
        sleep(Duration::from_millis(200)).await;
        println!("sending {number}");
        if numbers.send(number).await.is_err() {
            println!("nobody listens any more");
            return;
        }
    }
    println!("all sent");
}

pub async fn run() -> Result<(), JoinError> {
    let (sender, receiver) = mpsc::channel(2);
    let producer = tokio::spawn(produce(sender));
    let mut numbers = ReceiverStream::new(receiver);
    while let Some(number) = numbers.next().await {
        println!("got {number}");
        sleep(Duration::from_millis(500)).await;
    }
    println!("the stream has ended");
    producer.await?;

    let (sender, receiver) = mpsc::channel(2);
    let producer = tokio::spawn(produce(sender));
    let first_two: Vec<u32> = ReceiverStream::new(receiver).take(2).collect().await;
    println!("enough: {first_two:?}");
    producer.await
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
