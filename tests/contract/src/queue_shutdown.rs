//! `Queue.shutdown`: what CPython's tests ask of it, on the ends of Tokio's channels.
//!
//! The counterpart is `close`, of the one receiver or of any end of an `async-channel`,
//! unless the clause names another one behind an `@`.
//!
//! asyncio: asyncio.Queue.shutdown, asyncio.QueueShutDown
//! asyncio: asyncio.Queue.shutdown(immediate=True)
//! differs: a channel has two ends with owners; a queue is one shared object

use std::cmp::Reverse;
use std::sync::Arc;

use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::support::condition_queue::ConditionQueue;
use crate::support::priority_queue::PriorityQueue;
use crate::support::{millis, settle, try_out};

async fn shutdown_wakes_getter() -> String {
    let (sender, receiver) = async_channel::unbounded::<u8>();
    let getting = tokio::spawn(async move { receiver.recv().await });
    settle().await;
    sender.close();
    let ended = getting.await.unwrap().is_err();
    format!("the waiting get ends: {ended}")
}

async fn shutdown_locked() -> String {
    let (_sender, receiver) = mpsc::channel::<u8>(1);
    let receiver = Arc::new(Mutex::new(receiver));
    let own = Arc::clone(&receiver);
    let getting = tokio::spawn(async move { own.lock().await.recv().await });
    settle().await;
    receiver.lock().await.close();
    let ended = getting.await.unwrap().is_none();
    format!("the waiting get ends: {ended}")
}

async fn shutdown_by_drop() -> String {
    let (sender, mut receiver) = mpsc::channel::<u8>(1);
    let _forgotten = sender.clone();
    let getting = tokio::spawn(async move { receiver.recv().await });
    settle().await;
    drop(sender);
    let ended = getting.await.unwrap().is_none();
    format!("the waiting get ends: {ended}")
}

async fn shutdown_wakes_putter() -> String {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.send("a").await.unwrap();
    let putting = tokio::spawn(async move { sender.send("b").await });
    settle().await;
    receiver.close();
    let refused = putting.await.unwrap().is_err();
    format!("the waiting put is refused: {refused}")
}

async fn shutdown_keeps_items() -> String {
    let (sender, mut receiver) = mpsc::channel(2);
    sender.send("a").await.unwrap();
    receiver.close();
    let size = receiver.len();
    let item = receiver.recv().await.unwrap();
    let ended = receiver.recv().await.is_none();
    format!("{size} item, {item}, then the end: {ended}")
}

async fn shutdown_refuses() -> String {
    let (sender, mut receiver) = mpsc::channel(2);
    receiver.close();
    let put = sender.send(1).await.is_err();
    let put_nowait = matches!(sender.try_send(1), Err(TrySendError::Closed(_)));
    let get = receiver.recv().await.is_none();
    format!("put: {put}, put_nowait: {put_nowait}, get: {get}")
}

async fn shutdown_get_nowait() -> String {
    let (_sender, mut receiver) = mpsc::channel::<u8>(2);
    let open = why_not(receiver.try_recv());
    receiver.close();
    format!("{open} before, {} after", why_not(receiver.try_recv()))
}

async fn shutdown_join() -> String {
    let (sender, mut receiver) = mpsc::channel(2);
    let unfinished = TaskTracker::new();
    unfinished.close();
    sender.send(unfinished.token()).await.unwrap();
    let taken = receiver.recv().await;
    receiver.close();
    let before = timeout(millis(20), unfinished.wait()).await.is_ok();
    drop(taken);
    unfinished.wait().await;
    format!("joined with an item in work: {before}, after it: true")
}

async fn shutdown_immediate() -> String {
    let (sender, mut receiver) = mpsc::channel(2);
    let unfinished = TaskTracker::new();
    unfinished.close();
    for _ in 0..2 {
        sender.send(unfinished.token()).await.unwrap();
    }
    receiver.close();
    while receiver.recv().await.is_some() {}
    unfinished.wait().await;
    format!("{} items, joined", receiver.len())
}

async fn shutdown_immediate_unfinished() -> String {
    let (sender, mut receiver) = mpsc::channel(2);
    let unfinished = TaskTracker::new();
    unfinished.close();
    for _ in 0..2 {
        sender.send(unfinished.token()).await.unwrap();
    }
    let taken = receiver.recv().await;
    receiver.close();
    while receiver.recv().await.is_some() {}
    let before = timeout(millis(20), unfinished.wait()).await.is_ok();
    drop(taken);
    unfinished.wait().await;
    format!("joined with an item in work: {before}, after it: true")
}

async fn priority_shutdown_getter() -> String {
    let queue = Arc::new(PriorityQueue::<u8, ()>::bounded(1));
    let own = Arc::clone(&queue);
    let getting = tokio::spawn(async move { own.get().await });
    settle().await;
    queue.close();
    let ended = getting.await.unwrap().is_none();
    let refused = queue.put(1, ()).await.is_err();
    format!("the waiting get ends: {ended}; put is refused: {refused}")
}

async fn priority_shutdown_putter() -> String {
    let queue = Arc::new(PriorityQueue::bounded(1));
    queue.put(1, "a").await.unwrap();
    let own = Arc::clone(&queue);
    let putting = tokio::spawn(async move { own.put(2, "b").await });
    settle().await;
    queue.close();
    let refused = putting.await.unwrap().is_err();
    let item = queue.get().await.unwrap().1;
    format!("the waiting put is refused: {refused}; {item} is left")
}

async fn lifo_shutdown() -> String {
    let queue = PriorityQueue::unbounded();
    for (number, item) in ["a", "b"].into_iter().enumerate() {
        queue.put(Reverse(number), item).await.unwrap();
    }
    queue.close();
    let (first, second) = (queue.get().await.unwrap().1, queue.get().await.unwrap().1);
    let ended = queue.get().await.is_none();
    format!("{first} {second}, then the end: {ended}")
}

async fn condition_queue_shutdown() -> String {
    let queue = Arc::new(ConditionQueue::<u8>::new(1));
    let own = Arc::clone(&queue);
    let getting = tokio::spawn(async move { own.get().await });
    settle().await;
    queue.close();
    let ended = getting.await.unwrap().is_none();
    format!("the waiting get ends: {ended}")
}

fn why_not<T>(got: Result<T, TryRecvError>) -> String {
    match got {
        Ok(_) => "an item",
        Err(TryRecvError::Empty) => "empty",
        Err(TryRecvError::Disconnected) => "shut down",
    }
    .to_owned()
}

#[tokio::main]
async fn main() {
    try_out! { millis(10_000),
        "queue.shutdown.wakes-getters" => shutdown_wakes_getter(),
        "queue.shutdown.wakes-getters@locked" => shutdown_locked(),
        "queue.shutdown.wakes-getters@drop" => shutdown_by_drop(),
        "queue.shutdown.wakes-getters@condition" => condition_queue_shutdown(),
        "queue.shutdown.wakes-putters" => shutdown_wakes_putter(),
        "queue.shutdown.keeps-items" => shutdown_keeps_items(),
        "queue.shutdown.refuses-afterwards" => shutdown_refuses(),
        "queue.shutdown.get_nowait-tells" => shutdown_get_nowait(),
        "queue.shutdown.join-waits-for-work" => shutdown_join(),
        "queue.shutdown-immediate.drops-items" => shutdown_immediate(),
        "queue.shutdown-immediate.join-waits-for-work" => shutdown_immediate_unfinished(),
        "priority.shutdown.wakes-getters" => priority_shutdown_getter(),
        "priority.shutdown.wakes-putters" => priority_shutdown_putter(),
        "lifo.shutdown.keeps-items" => lifo_shutdown(),
    }
}

//@ python: 3.13
