//! Fan in: several producers send to one queue, and one loop reads them all.
//!
//! Each producer owns a clone of the sender. The loop ends when the last clone is
//! dropped: no sentinel, no counting of producers. Drop the original sender too, or the
//! loop never ends. Send a failure as an item, a `Result`: the consumer decides what to
//! do.
//!
//! Bounds: At most `CAPACITY` messages wait for the consumer. Then the producers wait in
//! `send`.
//!
//! Trap: If a producer panics, its sender is dropped, so the producer looks finished. The
//! other producers keep running, while a `TaskGroup` would cancel them. Join the tasks to
//! notice the panic. If you then drop the `JoinSet` (the set of tasks), the remaining
//! tasks are aborted.
//!
//! See also: `channel_stream`, `merge_streams`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.join, asyncio.TaskGroup, except*
//! differs: if a producer panics, the others keep running; a `TaskGroup` cancels them

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// How many messages may wait for the consumer.
const CAPACITY: usize = 1;

/// A sensor's name, and how many milliseconds it takes for a reading.
type Sensor = (&'static str, u64);

/// Sends three readings. There is no sensor in the west.
async fn produce((name, millis): Sensor, readings: mpsc::Sender<(&'static str, u32)>) {
    for number in 1..=3 {
        sleep(Duration::from_millis(millis)).await;
        assert!(name != "west", "no sensor in the west");
        // `send` fails when the consumer has left.
        if readings.send((name, number)).await.is_err() {
            return;
        }
    }
    // Switches the sensor off.
    sleep(Duration::from_millis(100)).await;
    println!("{name} has sent all");
}

/// Reports each reading, which takes 300 ms, until all producers have ended. Returns the
/// first panic of a producer.
pub async fn report(sensors: impl IntoIterator<Item = Sensor>) -> Result<(), JoinError> {
    let (sender, mut readings) = mpsc::channel(CAPACITY);
    let mut producers = JoinSet::new();
    for sensor in sensors {
        producers.spawn(produce(sensor, sender.clone()));
    }
    drop(sender);

    while let Some((name, number)) = readings.recv().await {
        println!("{name}: {number}");
        sleep(Duration::from_millis(300)).await;
    }
    while let Some(done) = producers.join_next().await {
        done?;
    }
    println!("All producers are done");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    println!("Two producers, and the consumer is the slowest:");
    report([("north", 100), ("south", 550)]).await?;

    println!("A producer that crashes, and another one:");
    let ended = report([("west", 100), ("north", 150)]).await;
    if let Err(Ok(panic)) = ended.map_err(JoinError::try_into_panic) {
        let message = panic.downcast_ref::<&str>().unwrap_or(&"no text");
        println!("failed: {message}");
    }
    Ok(())
}

//@ stderr: no sensor in the west
