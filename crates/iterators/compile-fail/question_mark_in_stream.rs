//~ E0308 expected `Result<_, _>`, found `u32`
//! `?` inside `stream!`: the error would be yielded, but the number is no `Result`.
//!
//! example: fallible_stream

use std::num::ParseIntError;
use std::pin::pin;

use async_stream::stream;
use futures::{Stream, StreamExt};

fn parse(line: &str) -> Result<u32, ParseIntError> {
    line.parse()
}

fn numbers(lines: &[&str]) -> impl Stream<Item = Result<u32, ParseIntError>> {
    stream! {
        for line in lines {
            yield parse(line)?;
        }
    }
}

#[tokio::main]
async fn main() {
    let mut numbers = pin!(numbers(&["1", "two"]));
    while let Some(number) = numbers.next().await {
        println!("{number:?}");
    }
}
