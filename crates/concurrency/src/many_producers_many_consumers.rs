//! Share one queue between many producers and many consumers, and end them all.
//!
//! Each producer has a clone of the sender. A Tokio channel has one receiver ("no method
//! named `clone` found"). The consumers share the receiver behind a lock, and take turns
//! in waiting for the next item. When all senders are dropped, each consumer gets `None`:
//! no sentinels to count, and no timeout to guess.
//!
//! Trap: In `while let Some(item) = receiver.lock().await.recv().await`, the guard lives
//! through the body of the loop. The consumers then work one after the other.
//!
//! Trap: A consumer that waits in `recv` holds the lock, so no other task can call
//! `close`. If a supervisor shuts the queue down, take `async-channel`.
//!
//! In production: The receiver of `async-channel` can be cloned and needs no lock. Either
//! end can close it.
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
