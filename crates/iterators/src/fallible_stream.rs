//! Stop a stream at its first error, or carry on behind it.
//!
//! Inside `try_stream!` the `?` yields the error and ends the stream, as an exception
//! ends a generator. To carry on, make each item a `Result`: errors are then items like
//! others and the stream lives on. The trap is that both have the same type, so the
//! signature does not tell which it is. `try_next` and `try_collect` stop at the first
//! error in either case; after them the items behind the error are still to be had only
//! from a stream of the second kind.
//!
//! asyncio: exceptions in async generators, try and except around async for

use std::error::Error;
use std::fmt;
use std::pin::pin;
use std::time::Duration;

use async_stream::{stream, try_stream};
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::time::sleep;

#[derive(Debug)]
pub struct NotANumber(String);

impl fmt::Display for NotANumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a number: {}", self.0)
    }
}

impl Error for NotANumber {}

fn parse(line: &str) -> Result<u32, NotANumber> {
    line.parse().map_err(|_| NotANumber(line.to_owned()))
}

/// Stands for waiting until a line has arrived.
async fn arrival() {
    sleep(Duration::from_millis(100)).await;
}

/// Ends at the first error.
pub fn strict(lines: &[&str]) -> impl Stream<Item = Result<u32, NotANumber>> {
    try_stream! {
        for line in lines {
            arrival().await;
            yield parse(line)?;
        }
    }
}

/// Goes on behind an error.
pub fn lenient(lines: &[&str]) -> impl Stream<Item = Result<u32, NotANumber>> {
    stream! {
        for line in lines {
            arrival().await;
            yield parse(line);
        }
    }
}

async fn sum(
    numbers: impl Stream<Item = Result<u32, NotANumber>>,
) -> Result<u32, NotANumber> {
    let mut numbers = pin!(numbers);
    let mut sum = 0;
    while let Some(number) = numbers.try_next().await? {
        println!("adding {number}");
        sum += number;
    }
    Ok(sum)
}

fn show(sum: Result<u32, NotANumber>) {
    match sum {
        Ok(sum) => println!("the sum is {sum}"),
        Err(error) => println!("no sum: {error}"),
    }
}

pub async fn run() {
    show(sum(strict(&["1", "2", "3"])).await);
    let lines = ["10", "20", "x", "40"];
    show(sum(strict(&lines)).await);

    let mut numbers = pin!(strict(&lines).skip(2));
    while let Some(number) = numbers.next().await {
        match number {
            Ok(number) => println!("strict: {number}"),
            Err(error) => println!("strict: {error}"),
        }
    }

    let mut numbers = pin!(lenient(&lines).skip(2));
    while let Some(number) = numbers.next().await {
        match number {
            Ok(number) => println!("lenient: {number}"),
            Err(error) => println!("lenient: {error}"),
        }
    }

    let collected: Result<Vec<u32>, NotANumber> = lenient(&lines).try_collect().await;
    match collected {
        Ok(numbers) => println!("collected: {numbers:?}"),
        Err(error) => println!("collected nothing: {error}"),
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
