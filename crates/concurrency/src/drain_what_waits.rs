//! Take everything that is waiting in a queue at once: `get_nowait` in a loop, batches.
//!
//! `recv_many` waits for the first item, as `get` does, and takes with it whatever else
//! is there, up to a limit: the batches grow with the load, and no timer is needed. It
//! returns how many came, and 0 once the senders are gone. The traps: it appends to the
//! buffer, which you have to clear, and a limit of 0 returns 0, which looks like the
//! end. `try_recv` does not wait. Its error says whether the channel is empty or
//! closed; a `while let Ok(..)` does not tell them apart.
//!
//! asyncio: asyncio.Queue.get, asyncio.Queue.get_nowait, asyncio.QueueEmpty

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{SendError, TryRecvError};
use tokio::time::sleep;

/// The most that is written at once.
const LIMIT: usize = 3;

/// Writes whatever waits, in one go each time, until the senders are gone.
async fn write_batches(mut rows: mpsc::UnboundedReceiver<u32>) {
    let mut batch = Vec::with_capacity(LIMIT);
    while rows.recv_many(&mut batch, LIMIT).await > 0 {
        println!("writing {batch:?}");
        sleep(Duration::from_millis(250)).await;
        batch.clear();
    }
    println!("all written");
}

/// What waits at this moment, and whether more can come.
fn take_waiting(rows: &mut mpsc::UnboundedReceiver<u32>) -> (Vec<u32>, bool) {
    let mut taken = Vec::new();
    loop {
        match rows.try_recv() {
            Ok(row) => taken.push(row),
            Err(TryRecvError::Empty) => return (taken, true),
            Err(TryRecvError::Disconnected) => return (taken, false),
        }
    }
}

fn report((taken, more): (Vec<u32>, bool)) {
    let then = if more { "more may come" } else { "that is all" };
    println!("took {taken:?}, {then}");
}

pub async fn run() -> Result<(), SendError<u32>> {
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

#[tokio::main]
pub async fn main() -> Result<(), SendError<u32>> {
    run().await
}
