//! Send values into a generator and get answers back: `asend`.
//!
//! A stream only yields. If the caller waits for an answer to each value, write a struct
//! with an async method. The generator's local variables become fields of the struct,
//! `athrow` becomes a method. If no answer is needed in between, write a function from
//! stream to stream.
//!
//! Trap: If a call of `send` is cancelled, the struct may be half changed. So change all
//! fields together, after the last await, as here. A cancelled `asend` ends Python's
//! generator.
//!
//! See also: `generator`, `moving_window`, `actor`.
//!
//! asyncio: asend, yield, anext, async for

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt};
use tokio::time::sleep;

/// Knows the average of the numbers so far.
#[derive(Debug, Default, PartialEq)]
pub struct Averager {
    total: u32,
    count: u32,
}

impl Averager {
    /// Adds a number and returns the average of all, rounded down. Takes 100 ms.
    ///
    /// If this future is dropped, the number is not added.
    pub async fn send(&mut self, number: u32) -> u32 {
        sleep(Duration::from_millis(100)).await;
        self.total += number;
        self.count += 1;
        self.total / self.count
    }

    /// Forgets all numbers.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Yields the average so far after each number.
pub fn averages(numbers: impl Stream<Item = u32>) -> impl Stream<Item = u32> {
    stream! {
        let mut averager = Averager::default();
        let mut numbers = pin!(numbers);
        while let Some(number) = numbers.next().await {
            yield averager.send(number).await;
        }
    }
}

#[tokio::main]
async fn main() {
    println!("One number, one answer:");
    let mut averager = Averager::default();
    for number in [10, 20, 60] {
        println!("{}", averager.send(number).await);
    }

    println!("After a reset:");
    averager.reset();
    println!("{}", averager.send(7).await);

    println!("From stream to stream:");
    let mut averages = pin!(averages(futures::stream::iter([10, 20, 60])));
    while let Some(average) = averages.next().await {
        println!("{average}");
    }
}
