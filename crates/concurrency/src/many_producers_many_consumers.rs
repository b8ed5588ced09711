//! Share one queue between many producers and many consumers, and end them all.
//!
//! Each producer has a clone of the sender. A `tokio::sync::mpsc` channel has one
//! receiver, which cannot be cloned ("no method named `clone` found"). So the consumers
//! share the receiver behind a lock, and take turns in waiting for the next item. When
//! all senders are dropped, each consumer gets `None`. You need no sentinels and no
//! timeout.
//!
//! Trap: If you write `while let Some(item) = receiver.lock().await.recv().await`, the
//! consumers work one after the other. The lock is held through the body of the loop.
//! Receive in a function, as `SharedReceiver::recv` below does.
//!
//! Trap: While a consumer waits in `recv`, it holds the lock, so no other task can call
//! `close` of the receiver. If another task has to close the queue, use `async-channel`.
//!
//! In production: The receiver of the crate `async-channel` can be cloned and needs no
//! lock. A sender or a receiver can close the channel.
//!
//! See also: `worker_pool`, `queue_shutdown`, `receiver_that_never_ends`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.put, asyncio.Queue.get, asyncio.TaskGroup

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::time::sleep;

/// A receiver that can be cloned. Each item goes to the clone that has waited longest.
#[derive(Debug)]
pub struct SharedReceiver<T>(Arc<Mutex<mpsc::Receiver<T>>>);

impl<T> SharedReceiver<T> {
    /// Shares the receiver.
    pub fn new(receiver: mpsc::Receiver<T>) -> Self {
        Self(Arc::new(Mutex::new(receiver)))
    }

    /// Returns the next item, or `None` when all senders are dropped and the channel is
    /// empty. Dropping the future loses nothing.
    pub async fn recv(&self) -> Option<T> {
        self.0.lock().await.recv().await
    }
}

impl<T> Clone for SharedReceiver<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

async fn producer(id: u32, start: u64, queue: mpsc::Sender<String>) {
    sleep(Duration::from_millis(start)).await;
    for number in 0..3 {
        let item = format!("Item-{id}-{number}");
        if queue.send(item.clone()).await.is_err() {
            return;
        }
        println!("Producer {id} produced {item}");
        sleep(Duration::from_millis(100)).await;
    }
}

async fn consumer(id: u32, queue: SharedReceiver<String>) {
    while let Some(item) = queue.recv().await {
        println!("Consumer {id} consuming {item}");
        sleep(Duration::from_millis(400)).await;
    }
}

#[tokio::main]
async fn main() {
    let (sender, receiver) = mpsc::channel(2);
    let receiver = SharedReceiver::new(receiver);
    let mut tasks = tokio::task::JoinSet::new();
    for id in 0..3 {
        tasks.spawn(consumer(id, receiver.clone()));
        // So that the consumers wait in this order.
        sleep(Duration::from_millis(50)).await;
    }
    tasks.spawn(producer(0, 0, sender.clone()));
    tasks.spawn(producer(1, 50, sender.clone()));
    // A sender that stays here would keep the consumers waiting.
    drop((sender, receiver));
    tasks.join_all().await;
    println!("All consumers have ended");
}

//@ order: produced
