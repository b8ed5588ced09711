//! Wait for several things in a loop with `select!`: a timeout for each, or for all.
//!
//! `select!` waits for several futures, runs the body of the first that is ready, and
//! drops the other futures. So a sleep that a branch creates starts again in each turn.
//! To keep a future over all turns, create the future outside the loop and pin it, that
//! is, fix it in its place. The branch takes `&mut` of the future. Without the pin, the
//! compiler reports that the future "cannot be unpinned".
//!
//! Trap: If a branch's future holds an item while it waits, the item is lost when another
//! branch is ready first, because `select!` drops the future. `recv` holds no item, so it
//! loses none. A future that receives an item and then awaits something else loses the
//! item: await only `recv` in the branch, and the rest in the body. `send` loses its item
//! too: await `mpsc::Sender::reserve`, which waits for a place in the channel, and send
//! in the body.
//!
//! Trap: If you await the `recv` of another crate's channel in a branch, look at its
//! documentation: a dropped `recv` of `kanal` may lose an item, by its author. Read in a
//! task that sends the items on to a channel of Tokio.
//!
//! See also: `select_in_a_struct`, `select_biased`, `cancel_safety`, `timeouts`.
//!
//! asyncio: asyncio.wait, asyncio.timeout, asyncio.Queue.get, asyncio.Queue(maxsize=0)

use std::pin::pin;
use std::time::Duration;

use tokio::select;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Sends a reading every 100 ms until the receiver is dropped, six in all.
fn sensor() -> mpsc::UnboundedReceiver<u32> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        for reading in 1..=6 {
            sleep(Duration::from_millis(100)).await;
            if sender.send(reading).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Returns when no reading has come for 250 ms: each turn makes its own sleep.
///
/// When the sensor is gone, `recv` returns `None`. That does not match `Some(reading)`,
/// so its branch is off for this turn, and the sleep continues alone.
pub async fn until_silence(mut readings: mpsc::UnboundedReceiver<u32>) {
    loop {
        select! {
            Some(reading) = readings.recv() => println!("Reading {reading}"),
            () = sleep(Duration::from_millis(250)) => break,
        }
    }
    println!("Silence");
}

/// Returns after 250 ms: all turns poll one sleep.
pub async fn until_deadline(mut readings: mpsc::UnboundedReceiver<u32>) {
    let mut deadline = pin!(sleep(Duration::from_millis(250)));
    loop {
        select! {
            Some(reading) = readings.recv() => println!("Reading {reading}"),
            () = &mut deadline => break,
        }
    }
    println!("Timed out");
}

#[tokio::main]
async fn main() {
    println!("A sleep made anew in each turn:");
    until_silence(sensor()).await;

    println!("A sleep made once:");
    until_deadline(sensor()).await;
}
