//! Put into a queue without waiting: `put_nowait` and `QueueFull`, or drop the oldest.
//!
//! `try_send` is `put_nowait`, and its error gives the item back: `Full`, as `QueueFull`,
//! or `Closed` when the receiver is gone, of which an `asyncio.Queue` knows nothing. The
//! trap is to treat both alike: `Full` passes, but `Closed` never does, so a loop that
//! tries again goes on for ever. A sender cannot take the oldest item out, as
//! `get_nowait` does: `DropOldest` is a `VecDeque` behind a lock. An item that should be
//! fresh is made when there is room: `reserve` waits for a place before there is an item.
//! Many receivers, each of which may miss items: `broadcast`. `full` and `empty` are
//! `capacity() == 0` and `is_empty`: believe them where nobody else puts or takes.
//!
//! asyncio: asyncio.Queue.put_nowait, asyncio.QueueFull, asyncio.Queue.get_nowait
//! asyncio: asyncio.Queue.full, asyncio.Queue.empty, asyncio.Queue.maxsize
//! asyncio: asyncio.Queue.qsize

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::join;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

const CAPACITY: usize = 2;

/// A queue that never refuses an item and never makes a producer wait: when it is full,
/// its oldest item goes. It has no end: whoever receives is stopped from outside.
pub struct DropOldest<T> {
    items: Mutex<VecDeque<T>>,
    capacity: usize,
    pub(crate) added: Notify,
}

impl<T> DropOldest<T> {
    /// An empty queue for so many items.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn new(capacity: usize) -> DropOldest<T> {
        assert!(capacity > 0, "a queue for no items");
        DropOldest {
            items: Mutex::new(VecDeque::with_capacity(capacity)),
            capacity,
            added: Notify::new(),
        }
    }

    /// Adds an item. What had to go for it, if the queue was full.
    pub fn push(&self, item: T) -> Option<T> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let full = items.len() == self.capacity;
        let oldest = if full { items.pop_front() } else { None };
        items.push_back(item);
        self.added.notify_one();
        oldest
    }

    /// The oldest item; waits while there is none. Cancel-safe: an item is either
    /// returned or still in the queue.
    pub async fn recv(&self) -> T {
        loop {
            if let Some(item) = self.pop() {
                return item;
            }
            self.added.notified().await;
        }
    }

    pub(crate) fn pop(&self) -> Option<T> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let item = items.pop_front();
        if !items.is_empty() {
            // `notify_one` remembers one call only, so whoever takes an item wakes the
            // next receiver if there is more.
            self.added.notify_one();
        }
        item
    }
}

/// Offers a number without waiting. Whether there is any use in offering more.
fn offer(number: u32, queue: &mpsc::Sender<u32>) -> bool {
    match queue.try_send(number) {
        Ok(()) => println!("{number} put"),
        Err(TrySendError::Full(number)) => println!("{number} refused: full"),
        Err(TrySendError::Closed(number)) => {
            println!("{number} refused: nobody takes it");
            return false;
        }
    }
    true
}

async fn process(number: u32) {
    println!("processing {number}");
    sleep(Duration::from_millis(350)).await;
}

/// Processes three numbers and leaves.
async fn consumer_of_three(mut queue: mpsc::Receiver<u32>) {
    for _ in 0..3 {
        let Some(number) = queue.recv().await else {
            return;
        };
        process(number).await;
    }
}

/// Makes four readings, each of them only when there is a place for it.
async fn read_sensor(queue: mpsc::Sender<u32>) {
    for number in 0..4 {
        let Ok(place) = queue.reserve().await else {
            return;
        };
        println!("reading {number}");
        // The place is its own, so this neither waits nor fails.
        place.send(number);
    }
}

pub async fn run() {
    println!("Refused when it is full:");
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let produce = async {
        for number in 0.. {
            if !offer(number, &sender) {
                return;
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    join!(produce, consumer_of_three(receiver));

    println!("The oldest goes when it is full:");
    let queue = Arc::new(DropOldest::new(CAPACITY));
    let shared = Arc::clone(&queue);
    tokio::spawn(async move {
        for number in 0..7 {
            if let Some(oldest) = shared.push(number) {
                println!("{oldest} dropped for {number}");
            }
            sleep(Duration::from_millis(100)).await;
        }
    });
    for _ in 0..4 {
        process(queue.recv().await).await;
    }

    println!("Made when there is room:");
    let (sender, mut receiver) = mpsc::channel(CAPACITY);
    tokio::spawn(read_sensor(sender));
    sleep(Duration::from_millis(100)).await;
    while let Some(number) = receiver.recv().await {
        process(number).await;
    }

    println!("Filled and emptied by one alone:");
    let (sender, mut receiver) = mpsc::channel(CAPACITY);
    // while not queue.full():
    while sender.capacity() > 0 {
        if sender.try_send(receiver.len()).is_ok() {
            let (taken, places) = (receiver.len(), sender.max_capacity());
            println!("{taken} of {places} places taken");
        }
    }
    while !receiver.is_empty() {
        if let Ok(number) = receiver.try_recv() {
            println!("{number} taken out");
        }
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
