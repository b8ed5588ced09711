//! Yield values one by one, pausing between them.
//!
//! `stream!` from async-stream is `async def` with `yield`: the body runs only while
//! somebody awaits the next value, and not at all before the first. `next` needs the
//! stream pinned, hence `pin!` before the loop. There is no `async for`; `while let` with
//! `next().await` takes its place. The trap is a loop without `pin!`, which the compiler
//! refuses with an error about `Unpin`.
//!
//! asyncio: async generators, yield, async for

use std::ops::Range;
use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt};
use tokio::time::sleep;

/// Yields the numbers of the range, each after a pause.
pub fn async_range(range: Range<u32>, delay: Duration) -> impl Stream<Item = u32> {
    stream! {
        for number in range {
            sleep(delay).await;
            yield number;
        }
    }
}

/// Yields `count` readings of a sensor, 100 ms apart.
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

pub async fn run() {
    let mut from_zero = pin!(async_range(0..3, Duration::from_millis(100)));
    while let Some(number) = from_zero.next().await {
        println!("{number}");
    }

    let mut from_one = pin!(async_range(1..5, Duration::from_millis(500)));
    while let Some(number) = from_one.next().await {
        println!("{number}");
    }

    let mut readings = pin!(readings(5));
    println!("Nothing has been generated yet");
    while let Some(reading) = readings.next().await {
        println!("Generated: {reading}");
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
