//! Fan in: several producers send to one queue, and one loop reads them all.
//!
//! Each producer owns a clone of the sender. The loop ends when the last clone is
//! dropped: no sentinel, no counting of producers. Drop the original too, or the loop
//! never ends. A failure is an item here like any other, and the consumer decides what to
//! do.
//!
//! Bounds: `CAPACITY` messages wait for the consumer. Then the producers wait in `send`.
//!
//! Trap: a producer that panics drops its sender, so it looks finished. The others run
//! on, while a `TaskGroup` would cancel them. Join the tasks to notice the panic; a
//! `JoinSet` aborts those that are left when it is dropped.
//!
//! See also: `channel_stream`, `merge_streams`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.join, asyncio.TaskGroup, except*
//! differs: if a producer panics, the others run on; a `TaskGroup` cancels them
//! stderr: no sensor in the west

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// How many messages may wait for the consumer.
const CAPACITY: usize = 1;

#[derive(Debug, thiserror::Error)]
#[error("unplugged")]
pub struct Unplugged;

/// A sensor's name, and how many milliseconds it takes for a reading.
type Sensor = (&'static str, u64);
type Message = (&'static str, Result<u32, Unplugged>);

/// Reads the sensor once. The one in the east is unplugged after its first reading.
async fn read((name, millis): Sensor, turn: u32) -> Result<u32, Unplugged> {
    sleep(Duration::from_millis(millis)).await;
    match name {
        "west" => panic!("no sensor in the west"),
        "east" if turn > 1 => Err(Unplugged),
        _ => Ok(turn),
    }
}

/// Sends three readings, or fewer and the reason why there are no more.
async fn produce(sensor: Sensor, readings: mpsc::Sender<Message>) {
    for turn in 1..=3 {
        let reading = read(sensor, turn).await;
        let failed = reading.is_err();
        // `send` fails when the consumer has left.
        if readings.send((sensor.0, reading)).await.is_err() || failed {
            return;
        }
    }
    // Switching the sensor off.
    sleep(Duration::from_millis(100)).await;
    println!("{} has sent all", sensor.0);
}

/// Reports each reading, which takes 300 ms, until all producers have ended.
///
/// # Errors
///
/// The first panic of a producer, after all others have ended.
pub async fn report(sensors: impl IntoIterator<Item = Sensor>) -> Result<(), JoinError> {
    let (sender, mut readings) = mpsc::channel(CAPACITY);
    let mut producers = JoinSet::new();
    for sensor in sensors {
        producers.spawn(produce(sensor, sender.clone()));
    }
    drop(sender);

    while let Some((name, reading)) = readings.recv().await {
        match reading {
            Ok(number) => println!("{name}: {number}"),
            Err(error) => println!("{name} failed: {error}"),
        }
        sleep(Duration::from_millis(300)).await;
    }
    while let Some(done) = producers.join_next().await {
        done?;
    }
    println!("All producers are done");
    Ok(())
}

pub async fn run() -> Result<(), JoinError> {
    println!("Three producers, and the consumer is the slowest:");
    report([("north", 100), ("east", 250), ("south", 550)]).await?;

    println!("A producer that crashes, and another one:");
    if let Err(error) = report([("west", 100), ("north", 150)]).await
        && let Ok(panic) = error.try_into_panic()
        && let Some(message) = panic.downcast_ref::<&str>()
    {
        println!("failed: {message}");
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
