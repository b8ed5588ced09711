//! Order the branches of a `select!`, or disable them: `biased` and `if`.
//!
//! `select!` waits for several futures and runs the body of the first that is ready. If
//! two branches are ready at the same time, chance decides. With `biased;`, `select!`
//! polls (asks) the futures from the top: put the branch for a shutdown first. With
//! `, if condition` after its future, a branch is disabled for this turn when the
//! condition is false. Disable a branch whose future has finished: polling it again would
//! panic.
//!
//! Trap: If the body of a branch takes long, all other branches wait, even a deadline: no
//! branch is polled while a body runs. Keep bodies short, or spawn the work.
//!
//! Trap: If all branches are disabled, `select!` panics: "all branches are disabled and
//! there is no else branch". If that can happen, add `else => break`.
//!
//! Trap: If two branches wait for the same source, `Ok(x) = a.accept()` and
//! `Err(e) = a.accept()`, values are lost. The branch of the wrong pattern receives the
//! value, drops it, and is disabled for this turn. A trial with a channel lost a third of
//! its items. Write one branch, `result = a.accept()`, and match on the result.
//!
//! See also: `select_in_a_loop`, `scheduler`.
//!
//! asyncio: asyncio.wait, asyncio.FIRST_COMPLETED

use std::pin::pin;
use std::time::Duration;

use tokio::select;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// Simulates a measurement.
pub async fn calibrate() -> &'static str {
    sleep(Duration::from_millis(300)).await;
    "calibrated"
}

/// Stores readings until 650 ms have passed, and says whether the sensor was calibrated.
pub async fn store_until_deadline(mut readings: mpsc::UnboundedReceiver<u32>) {
    let mut deadline = pin!(sleep(Duration::from_millis(650)));
    let mut calibration = pin!(calibrate());
    let mut state = None;
    loop {
        select! {
            biased;
            () = &mut deadline => break,
            // A future that has ended must not be polled again: it would panic.
            result = &mut calibration, if state.is_none() => {
                println!("The sensor is {result}");
                state = Some(result);
            }
            Some(reading) = readings.recv() => {
                // While the body runs, no branch is polled, not even the deadline.
                sleep(Duration::from_millis(150)).await;
                println!("Stored {reading}, {}", state.unwrap_or("raw"));
            }
        }
    }
    println!("Timed out");
}

#[tokio::main]
async fn main() {
    println!("Readings every 100 ms, each of which takes 150 ms to store:");
    let (sender, readings) = mpsc::unbounded_channel();
    let sensor = async move {
        for reading in 1..=6 {
            sleep(Duration::from_millis(100)).await;
            // An error means that nobody listens any more.
            let _ = sender.send(reading);
        }
    };
    tokio::join!(sensor, store_until_deadline(readings));
}
