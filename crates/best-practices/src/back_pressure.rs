//! Backpressure: what to do when items come faster than they can be processed.
//!
//! If a queue is between a fast source and a slow consumer, either the queue grows, or
//! the source waits, or items are lost. The default is a `tokio::sync::mpsc::channel(n)`
//! with `send`: when the queue is full, the source waits. If the source cannot wait, as a
//! sensor or a live feed, call `try_send` and drop the new item when the queue is full.
//! To drop the oldest item instead, use a `tokio::sync::broadcast` channel with one
//! receiver (see the example `broadcast`).
//!
//! Bounds: At most n items wait in the queue; above that, `send` waits and `try_send`
//! returns an error.
//!
//! Trap: If you use `unbounded_channel`, or `asyncio.Queue()`, sending never waits, but
//! items wait ever longer and the memory fills up. Use a bounded channel. A spawned task
//! for each item is an unbounded queue, too: acquire a permit of a
//! `tokio::sync::Semaphore` before each spawn.
//!
//! In production: `force_send` of the crate `async-channel` replaces the oldest item of a
//! full queue and returns it.
//!
//! See also: `try_send`, `broadcast`, `watch_a_value`, `semaphore`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.put, asyncio.Queue.put_nowait, asyncio.QueueFull

use std::time::Duration;

use tokio::join;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::sleep;

/// How many readings may wait in a bounded queue.
pub const CAPACITY: usize = 2;

/// What became of the readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub stored: usize,
    pub dropped: usize,
    /// The largest number of readings that waited at the same time.
    pub waited: usize,
}

impl Report {
    fn note(&mut self, reading: usize, waiting: usize) {
        println!("stored {reading}, {waiting} waiting");
        self.stored += 1;
        self.waited = self.waited.max(waiting);
    }

    fn print(self) {
        let (stored, dropped, waited) = (self.stored, self.dropped, self.waited);
        println!("{stored} stored, {dropped} dropped, at most {waited} waited");
    }
}

/// Waits for the next reading. One comes every 200 ms, or later if the source asks later.
async fn next_reading(number: usize) -> usize {
    if number > 0 {
        sleep(Duration::from_millis(200)).await;
    }
    number
}

/// The slow stage, which takes three and a half times as long.
async fn store(_reading: usize) {
    sleep(Duration::from_millis(700)).await;
}

/// Runs the source and the slow stage with a queue that grows without a limit.
pub async fn unbounded(count: usize) -> Report {
    let (queue, mut receiver) = mpsc::unbounded_channel();
    let source = async move {
        for number in 0..count {
            let reading = next_reading(number).await;
            // Each of these sends fails only when the stage is gone.
            if queue.send(reading).is_err() {
                return;
            }
        }
        println!("the source is done");
    };
    let stage = async {
        let mut report = Report::default();
        while let Some(reading) = receiver.recv().await {
            store(reading).await;
            report.note(reading, receiver.len());
        }
        report
    };
    join!(source, stage).1
}

/// Runs them with a bounded queue. The source waits while the queue is full.
pub async fn bounded(count: usize) -> Report {
    let (queue, receiver) = mpsc::channel(CAPACITY);
    let source = async move {
        for number in 0..count {
            let reading = next_reading(number).await;
            if queue.send(reading).await.is_err() {
                return;
            }
        }
        println!("the source is done");
    };
    join!(source, store_all(receiver)).1
}

async fn store_all(mut queue: mpsc::Receiver<usize>) -> Report {
    let mut report = Report::default();
    while let Some(reading) = queue.recv().await {
        store(reading).await;
        report.note(reading, queue.len());
    }
    report
}

/// Runs them with a bounded queue. A new reading is dropped when the queue is full.
pub async fn newest_dropped(count: usize) -> Report {
    let (queue, receiver) = mpsc::channel(CAPACITY);
    let source = async move {
        let mut dropped = 0;
        for number in 0..count {
            let reading = next_reading(number).await;
            match queue.try_send(reading) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => dropped += 1,
                Err(TrySendError::Closed(_)) => return dropped,
            }
        }
        println!("the source is done");
        dropped
    };
    let (dropped, report) = join!(source, store_all(receiver));
    Report { dropped, ..report }
}

#[tokio::main]
async fn main() {
    println!("Unbounded: the queue grows.");
    unbounded(7).await.print();

    println!("Bounded: the source waits.");
    bounded(7).await.print();

    println!("Bounded: the newest is dropped.");
    newest_dropped(7).await.print();
}
