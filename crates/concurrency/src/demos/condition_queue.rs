//! Slow consumers, a consumer that times out, and a queue that is closed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::SendError;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};

use crate::condition_queue::ConditionQueue;

async fn produce(queue: Arc<ConditionQueue<String>>) {
    for number in 0..6 {
        sleep(Duration::from_millis(100)).await;
        if !produce_one(&queue, &format!("item-{number}")).await {
            return;
        }
    }
    queue.close();
}

/// Puts an item, and returns whether the queue took it.
async fn produce_one(queue: &ConditionQueue<String>, item: &str) -> bool {
    match queue.put(String::from(item)).await {
        Ok(()) => println!("Produced {item}"),
        Err(SendError(item)) => {
            println!("{item} refused: the queue is closed");
            return false;
        }
    }
    true
}

async fn consume(name: &'static str, busy: u64, queue: Arc<ConditionQueue<String>>) {
    while let Some(item) = queue.get().await {
        println!("Consumer {name} got {item}");
        sleep(Duration::from_millis(busy)).await;
    }
    println!("Consumer {name} is done");
}

async fn get_or_give_up(queue: Arc<ConditionQueue<String>>) {
    if timeout(Duration::from_millis(100), queue.get())
        .await
        .is_err()
    {
        println!("Consumer A timed out");
    }
}

pub async fn run() -> Result<(), JoinError> {
    println!("Slow consumers hold the producer up:");
    let queue = Arc::new(ConditionQueue::new(2));
    let consumer_a = tokio::spawn(consume("A", 500, Arc::clone(&queue)));
    sleep(Duration::from_millis(50)).await;
    let consumer_b = tokio::spawn(consume("B", 350, Arc::clone(&queue)));
    produce(queue).await;
    consumer_a.await?;
    consumer_b.await?;

    println!("The first of two waiting consumers times out:");
    let queue = Arc::new(ConditionQueue::new(2));
    let first = tokio::spawn(get_or_give_up(Arc::clone(&queue)));
    sleep(Duration::from_millis(50)).await;
    let second = tokio::spawn(consume("B", 100, Arc::clone(&queue)));
    first.await?;
    sleep(Duration::from_millis(100)).await;
    produce_one(&queue, "late item").await;
    queue.close();
    second.await?;

    println!("Closed while the producer waits for room:");
    let queue = Arc::new(ConditionQueue::new(2));
    let producer = tokio::spawn(produce(Arc::clone(&queue)));
    sleep(Duration::from_millis(500)).await;
    println!("Closing");
    queue.close();
    producer.await?;
    consume("C", 100, queue).await;
    Ok(())
}
