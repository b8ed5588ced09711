//~ E0308 expected `()`, found `Result<_, NotANumber>`
//! `return Err(..)` inside `try_stream!`: the block itself returns nothing.
//!
//! example: fallible_stream

use std::pin::pin;

use async_stream::try_stream;
use futures::{Stream, StreamExt};

#[derive(Debug)]
struct NotANumber;

fn parse(line: &str) -> Result<u32, NotANumber> {
    line.parse().map_err(|_| NotANumber)
}

fn digits(lines: &[&str]) -> impl Stream<Item = Result<u32, NotANumber>> {
    try_stream! {
        for line in lines {
            let digit = parse(line)?;
            if digit > 9 {
                return Err(NotANumber);
            }
            yield digit;
        }
    }
}

#[tokio::main]
async fn main() {
    let mut digits = pin!(digits(&["1", "20"]));
    while let Some(digit) = digits.next().await {
        println!("{digit:?}");
    }
}
