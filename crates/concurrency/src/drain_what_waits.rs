//! Take all waiting items out of a queue: `recv_many`, not `get_nowait` in a loop.
//!
//! `recv_many` of a Tokio receiver waits for the first item, as `get` of an asyncio queue
//! does. It also takes the other items that are in the queue, up to a limit. So the
//! batches grow with the load, and no timer is needed. `recv_many` returns the number of
//! items, or 0 once the queue is empty and all senders are dropped.
//!
//! `try_recv` does not wait. If there is no item, its error shows whether more may come
//! (`Empty`) or not (`Disconnected`).
//!
//! Bounds: A batch has at most 3 items. Unbounded: The queue.
//!
//! Trap: If you do not clear the buffer between two calls, you handle the first items
//! again, because `recv_many` appends to the buffer.
//!
//! Trap: If you compute the limit and it is 0, `recv_many` returns 0 immediately, which
//! looks like the end of the queue. Make the limit at least 1.
//!
//! See also: `batches`, `producer_consumer`, `queue_shutdown`.
//!
//! asyncio: asyncio.Queue.get, asyncio.Queue.get_nowait, asyncio.QueueEmpty

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::sleep;

/// The largest batch.
const LIMIT: usize = 3;

/// Writes the waiting rows as one batch, again and again until all senders are dropped.
async fn write_batches(mut rows: mpsc::UnboundedReceiver<u32>) {
    let mut batch = Vec::with_capacity(LIMIT);
    while rows.recv_many(&mut batch, LIMIT).await > 0 {
        println!("writing {batch:?}");
        sleep(Duration::from_millis(250)).await;
        batch.clear();
    }
    println!("all written");
}

/// Returns the rows that wait now, and whether more can come.
pub fn take_waiting(rows: &mut mpsc::UnboundedReceiver<u32>) -> (Vec<u32>, bool) {
    let mut taken = Vec::new();
    // One more look than rows, as only that one distinguishes an empty queue from the
    // end.
    for _ in 0..=rows.len() {
        match rows.try_recv() {
            Ok(row) => taken.push(row),
            Err(TryRecvError::Empty) => return (taken, true),
            Err(TryRecvError::Disconnected) => return (taken, false),
        }
    }
    (taken, true)
}

fn report((taken, more): (Vec<u32>, bool)) {
    let then = if more { "more may come" } else { "that is all" };
    println!("took {taken:?}, {then}");
}

#[tokio::main]
async fn main() -> Result<(), tokio::sync::mpsc::error::SendError<u32>> {
    println!("While one batch is written, the next one gathers:");
    let (sender, receiver) = mpsc::unbounded_channel();
    let writer = tokio::spawn(write_batches(receiver));
    for (pause, rows) in [(100, 1..2), (100, 2..4), (400, 4..5), (50, 5..9)] {
        sleep(Duration::from_millis(pause)).await;
        for row in rows {
            sender.send(row)?;
        }
    }
    drop(sender);
    writer.await.expect("the writer does not panic");

    println!("Without waiting:");
    let (sender, mut receiver) = mpsc::unbounded_channel();
    sender.send(1)?;
    sender.send(2)?;
    report(take_waiting(&mut receiver));
    report(take_waiting(&mut receiver));
    sender.send(3)?;
    drop(sender);
    report(take_waiting(&mut receiver));
    Ok(())
}
