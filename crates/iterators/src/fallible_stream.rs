//! Exceptions in an async generator: stop the stream at its first error, or carry on.
//!
//! `stream!` and `try_stream!`, of the crate `async-stream`, are async generators. In
//! `try_stream!`, `?` yields the error and ends the stream, as an exception ends a
//! generator. To raise an error, write `Err(error)?`; `return Err(error)` is refused. To
//! carry on after an error, yield a `Result` for each item from plain `stream!`: an error
//! is then an item like any other.
//!
//! Write the macro into a function that names the type of the stream, as `strict` does.
//! Elsewhere the compiler cannot know the type of the error ("type annotations needed").
//!
//! Trap: If a function returns a stream of results, its caller cannot see from the type
//! what follows an error. A `try_stream!` ends there, a plain `stream!` has further
//! items. A caller that uses `try_next` with `?`, or `try_collect`, stops at the first
//! error in either case and misses further items. In the doc comment of your function,
//! say what follows an error.
//!
//! Trap: If a guard of a `std::sync::Mutex` lives at a `?` of `try_stream!`, the stream
//! is not `Send`: this `?` yields the error, so it is an await. Let the guard end before.
//!
//! See also: `unfold_a_cursor`, `bounded_fetch_with_failures`, `stream_processor`.
//!
//! asyncio: raise, try, except, async for, yield

use std::pin::pin;
use std::time::Duration;

use async_stream::{stream, try_stream};
use futures::{Stream, StreamExt};
use tokio::time::sleep;

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("not a number: {0}")]
pub struct NotANumber(pub String);

fn parse(line: &str) -> Result<u32, NotANumber> {
    line.parse().map_err(|_| NotANumber(line.to_owned()))
}

/// Yields the number of each line. Yields the first error, and then ends.
pub fn strict<'a>(
    lines: &'a [&'a str],
) -> impl Stream<Item = Result<u32, NotANumber>> + 'a {
    try_stream! {
        for line in lines {
            sleep(Duration::from_millis(100)).await;
            if line.is_empty() {
                Err(NotANumber("an empty line".to_owned()))?;
            }
            yield parse(line)?;
        }
    }
}

/// Yields the number of each line, or its error, and continues.
pub fn lenient<'a>(
    lines: &'a [&'a str],
) -> impl Stream<Item = Result<u32, NotANumber>> + 'a {
    stream! {
        for line in lines {
            sleep(Duration::from_millis(100)).await;
            yield parse(line);
        }
    }
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

#[tokio::main]
async fn main() {
    use futures::TryStreamExt as _;

    let lines = ["10", "x", "30", "y"];
    println!("Collecting stops at the first error:");
    match strict(&lines).try_collect::<Vec<u32>>().await {
        Ok(numbers) => println!("{numbers:?}"),
        Err(error) => println!("no list: {error}"),
    }

    println!("A strict stream ends at the error:");
    show_all(strict(&lines)).await;

    println!("A lenient stream goes on:");
    show_all(lenient(&lines)).await;
}
