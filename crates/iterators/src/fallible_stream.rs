//! Exceptions in an async generator: stop the stream at its first error, or carry on.
//!
//! Inside `try_stream!` the `?` yields the error and ends the stream, as an exception
//! ends a generator, and `Err(error)?;` raises. `return Err(error)` is refused ("expected
//! `()`, found `Result<_, NotANumber>`"), and so is a `?` in plain `stream!` ("expected
//! `Result<_, _>`, found `u32`"). To carry on, make each item a `Result`: errors are then
//! items like others. The trap is that both have the same type, so the signature does not
//! tell which it is. `try_next` and `try_collect` stop at the first error of either; what
//! comes after it is still to be had only from the second kind.
//!
//! asyncio: raise, try, except, async for, yield

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
            if line.is_empty() {
                Err(NotANumber("an empty line".to_owned()))?;
            }
            yield parse(line)?;
        }
    }
}

/// Goes on after an error.
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

async fn show_all(numbers: impl Stream<Item = Result<u32, NotANumber>>) {
    let mut numbers = pin!(numbers);
    while let Some(number) = numbers.next().await {
        match number {
            Ok(number) => println!("{number}"),
            Err(error) => println!("{error}"),
        }
    }
}

pub async fn run() {
    println!("A sum, up to the first error:");
    for lines in [["1", "2", "3"], ["10", "x", "30"], ["10", "", "30"]] {
        match sum(strict(&lines)).await {
            Ok(sum) => println!("the sum is {sum}"),
            Err(error) => println!("no sum: {error}"),
        }
    }

    let lines = ["10", "x", "30", "y"];
    println!("A strict stream ends at the error:");
    show_all(strict(&lines)).await;

    println!("A lenient one goes on:");
    show_all(lenient(&lines)).await;

    println!("Stopped at the error, a lenient stream can be asked again:");
    let mut numbers = pin!(lenient(&lines));
    while let Ok(Some(number)) = numbers.try_next().await {
        println!("{number}");
    }
    let collected: Result<Vec<u32>, NotANumber> = numbers.try_collect().await;
    match collected {
        Ok(numbers) => println!("collected the rest: {numbers:?}"),
        Err(error) => println!("collected nothing: {error}"),
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
