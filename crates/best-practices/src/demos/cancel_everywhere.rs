//! A forwarder that is dropped at each await, and loses an item or keeps it.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;
use tokio::task::JoinError;
use tokio::time::sleep;

use crate::cancel_everywhere::{at_each_await, cancel_at};

/// Passes items on from one queue to the next.
pub struct Forwarder {
    pub from: mpsc::Receiver<u32>,
    pub to: mpsc::Sender<u32>,
    pub taken: Option<u32>,
}

impl Forwarder {
    /// The bug: an item that was taken and waits for room is lost with the future.
    pub async fn forward_or_lose(&mut self) -> bool {
        let Some(item) = self.from.recv().await else {
            return false;
        };
        self.to.send(item).await.is_ok()
    }

    /// Passes an item on; `false` when either queue is closed.
    ///
    /// Cancel-safe: what it has taken is kept for the next call.
    pub async fn forward(&mut self) -> bool {
        if self.taken.is_none() {
            self.taken = self.from.recv().await;
        }
        if self.taken.is_none() {
            return false;
        }
        let Ok(place) = self.to.reserve().await else {
            return false;
        };
        if let Some(item) = self.taken.take() {
            place.send(item);
        }
        true
    }
}

type Forward = fn(&mut Forwarder) -> BoxFuture<'_, bool>;

/// An item comes after 0.1 s, and there is room for it after 0.3 s: both awaits wait.
async fn drop_at(number: usize, forward: Forward) -> Result<bool, JoinError> {
    let (source, from) = mpsc::channel(1);
    let (to, mut target) = mpsc::channel(1);
    let producer = tokio::spawn(async move {
        sleep(Duration::from_millis(100)).await;
        for item in 2..=3 {
            source.send(item).await?;
        }
        Ok::<_, SendError<u32>>(())
    });
    let consumer = tokio::spawn(async move {
        sleep(Duration::from_millis(300)).await;
        let mut items = Vec::new();
        while let Some(item) = target.recv().await {
            items.push(item);
        }
        items
    });
    let _ = to.send(1).await;
    let mut forwarder = Forwarder {
        from,
        to,
        taken: None,
    };

    let is_completed = cancel_at(number, forward(&mut forwarder)).await.is_some();
    while forward(&mut forwarder).await {}
    drop(forwarder);
    let _ = producer.await?;
    let items = consumer.await?;
    if is_completed {
        println!("completed: {items:?}")
    } else {
        println!("dropped at await {number}: {items:?}")
    }
    Ok(is_completed)
}

pub async fn run() -> Result<(), JoinError> {
    println!("An item in a local variable:");
    at_each_await(|number| drop_at(number, |queue| queue.forward_or_lose().boxed()))
        .await?;

    println!("An item that is kept in the struct:");
    let awaits =
        at_each_await(|number| drop_at(number, |queue| queue.forward().boxed())).await?;
    println!("dropped at {awaits} awaits in all");
    Ok(())
}
