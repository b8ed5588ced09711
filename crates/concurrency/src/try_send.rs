//! Put into a queue without waiting: `put_nowait` and `QueueFull`, or drop the oldest.
//!
//! `try_send` is `put_nowait`. Its error returns the item: `Full`, as `QueueFull`, or
//! `Closed` if the receiver is gone, which an `asyncio.Queue` cannot know. An item that
//! should be fresh is made when there is a free place: `reserve` waits for the place
//! first. `full` and `empty` are `capacity() == 0` and `is_empty`: believe them only
//! where no other task sends or receives.
//!
//! A sender of Tokio cannot take out the oldest item. `async_channel::Sender::force_send`
//! does: it replaces the oldest item of a full queue, and returns it.
//!
//! Trap: a loop that retries after every error never ends. `Full` passes, `Closed` does
//! not.
//!
//! See also: `broadcast` (every receiver may miss items), `watch_a_value`,
//! `back_pressure`.
//!
//! asyncio: asyncio.Queue.put_nowait, asyncio.QueueFull, asyncio.Queue.get_nowait
//! asyncio: asyncio.Queue.full, asyncio.Queue.empty, asyncio.Queue.maxsize

use std::time::Duration;

use async_channel::SendError;
use tokio::join;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::sleep;

const CAPACITY: usize = 2;

/// Offers a number without waiting. Returns whether somebody may still take it.
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

/// Offers seven numbers, each in the place of the oldest one if the queue is full.
async fn offer_the_freshest(
    queue: async_channel::Sender<u32>,
) -> Result<(), SendError<u32>> {
    for number in 0..7 {
        if let Some(oldest) = queue.force_send(number)? {
            println!("{oldest} dropped for {number}");
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
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

/// Makes four readings, each only when there is a free place for it. A reading takes
/// 10 ms.
async fn read_sensor(queue: mpsc::Sender<u32>) {
    for number in 0..4 {
        let Ok(place) = queue.reserve().await else {
            return;
        };
        sleep(Duration::from_millis(10)).await;
        println!("read {number}");
        // The place is reserved, so this neither waits nor fails.
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
    let (sender, receiver) = async_channel::bounded(CAPACITY);
    tokio::spawn(offer_the_freshest(sender));
    while let Ok(number) = receiver.recv().await {
        process(number).await;
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
