//! See when a generator's body runs: only while the consumer awaits the next value.
//!
//! `stream!`, of the crate `async-stream`, makes an async generator. Before the first
//! await, nothing of its body runs. To show this, a generator prints when it starts and
//! ends. A second generator moves into a task. The example `async_range` is the plain
//! form.
//!
//! Trap: If you forget `pin!`, which fixes the stream in its place, the compiler refuses
//! the loop: "cannot be unpinned". If the loop is in a task, call `pin!` inside the task.
//!
//! Trap: If you use a value after its `yield`, the compiler reports "borrow of moved
//! value", because `yield` moves the value to the consumer. Use the value before, or
//! yield a clone. If you write `yield` in a closure, the compiler reports "yield syntax
//! is experimental". Write a loop in place of the closure.
//!
//! See also: `async_range`, `fetch_stream`, `stream_in_a_struct`, `break_and_clean_up`.
//!
//! asyncio: async def, yield, async for, asyncio.create_task

use std::ops::Range;
use std::time::Duration;

use async_stream::stream;
use futures::Stream;
use tokio::time::sleep;

/// Yields the numbers of the range, each after a delay.
pub fn async_range(range: Range<u32>, delay: Duration) -> impl Stream<Item = u32> {
    stream! {
        for number in range {
            sleep(delay).await;
            yield number;
        }
    }
}

/// Yields this many readings of a sensor, 100 ms apart.
pub fn readings(count: usize) -> impl Stream<Item = u32> {
    stream! {
        println!("The generator starts");
        for reading in [81, 14, 3, 94, 35].into_iter().cycle().take(count) {
            sleep(Duration::from_millis(100)).await;
            yield reading;
        }
        println!("The generator ends");
    }
}

#[tokio::main]
async fn main() -> Result<(), tokio::task::JoinError> {
    use futures::StreamExt as _;

    println!("Below 3:");
    let mut from_zero = std::pin::pin!(async_range(0..3, Duration::from_millis(100)));
    while let Some(number) = from_zero.next().await {
        println!("{number}");
    }

    println!("From 1 to 4, half a second apart, in a task:");
    let from_one = async_range(1..5, Duration::from_millis(500));
    let task = tokio::spawn(async move {
        let mut from_one = std::pin::pin!(from_one);
        while let Some(number) = from_one.next().await {
            println!("{number}");
        }
    });
    task.await?;

    let mut readings = std::pin::pin!(readings(6));
    println!("Nothing has been generated yet");
    while let Some(reading) = readings.next().await {
        println!("Generated: {reading}");
    }
    Ok(())
}
