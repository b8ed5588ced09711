//! Wait for several things in a loop with `select!`: pinned futures, `biased`, `if`.
//!
//! `select!` runs the body of the first arm (`pattern = future => body`) that is ready
//! and drops the futures of the others: a sleep made in an arm starts anew in each turn.
//! A deadline, or work that spans turns, is made once and pinned (fixed in its place)
//! outside the loop, and the arm takes `&mut` of it; else it "cannot be unpinned". A
//! dropped `recv` loses nothing, a future that has taken something and awaits again loses
//! it. A body runs to its end before a deadline is looked at. `biased;` asks from the
//! top, else chance decides. `, if` switches an arm off; if all may be off, add `else =>
//! break`: "all branches are disabled and there is no else branch" is a panic.
//!
//! asyncio: asyncio.wait, asyncio.FIRST_COMPLETED, asyncio.timeout, asyncio.Queue.get
//! asyncio: asyncio.Queue(maxsize=0)

use std::pin::pin;
use std::time::Duration;

use tokio::select;
use tokio::sync::mpsc;
use tokio::time::sleep;

const LIMIT: Duration = Duration::from_millis(650);
const CALIBRATION: Duration = Duration::from_millis(300);

/// Sends a reading every 100 ms until the receiver is gone, or until there are six. (An
/// `mpsc` channel is a queue of many producers and a single consumer.)
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

/// Ends when nothing has come for 250 ms: each turn makes a sleep of its own. (A sensor
/// that is gone gives `None`. That is not `Some`, so its arm is off for the turn.)
pub async fn until_silence(mut readings: mpsc::UnboundedReceiver<u32>) {
    loop {
        select! {
            Some(reading) = readings.recv() => println!("Reading {reading}"),
            () = sleep(Duration::from_millis(250)) => break,
        }
    }
    println!("Silence");
}

/// Ends after 250 ms: all turns look at one sleep.
pub async fn until_deadline(mut readings: mpsc::UnboundedReceiver<u32>) {
    let mut deadline = pin!(sleep(Duration::from_millis(250)));
    loop {
        select! {
            Some(reading) = readings.recv() => println!("Reading {reading}"),
            () = &mut deadline => break,
        }
    }
    println!("Time is up");
}

/// Takes a reading from the channel and awaits again while it holds it.
async fn checked(readings: &mut mpsc::UnboundedReceiver<u32>) -> Option<u32> {
    let reading = readings.recv().await?;
    sleep(Duration::from_millis(100)).await;
    Some(reading)
}

/// Loses the reading that is being checked when the time is up.
pub async fn check_until_deadline(mut readings: mpsc::UnboundedReceiver<u32>) {
    let mut deadline = pin!(sleep(Duration::from_millis(250)));
    loop {
        select! {
            Some(reading) = checked(&mut readings) => println!("Checked {reading}"),
            () = &mut deadline => break,
        }
    }
    println!("Time is up");
    if let Some(reading) = readings.recv().await {
        println!("The next one is reading {reading}");
    }
}

pub async fn calibrate() -> &'static str {
    sleep(CALIBRATION).await;
    "calibrated"
}

/// Takes 150 ms to store a reading; meanwhile the calibration and the next readings come.
/// (A future that has ended must not be asked again, it would panic: hence the `if`.)
pub async fn store_until_deadline(mut readings: mpsc::UnboundedReceiver<u32>) {
    let mut deadline = pin!(sleep(LIMIT));
    let mut calibration = pin!(calibrate());
    let mut state = None;
    loop {
        select! {
            biased;
            () = &mut deadline => break,
            result = &mut calibration, if state.is_none() => {
                println!("The sensor is {result}");
                state = Some(result);
            }
            Some(reading) = readings.recv() => {
                sleep(Duration::from_millis(150)).await;
                println!("Stored {reading}, {}", state.unwrap_or("raw"));
            }
        }
    }
    println!("Time is up");
}

pub async fn run() {
    println!("A sleep made anew in each turn:");
    until_silence(sensor()).await;

    println!("A sleep made once:");
    until_deadline(sensor()).await;

    println!("A sleep made once, and a check after each reading:");
    check_until_deadline(sensor()).await;

    println!("A limit of {LIMIT:?}, a calibration of {CALIBRATION:?}:");
    store_until_deadline(sensor()).await;
}

#[tokio::main]
pub async fn main() {
    run().await;
}
