//~ E0282 type annotations needed for `Pin<&mut AsyncStream<Result<u32, _>, ...>>`
//! A `try_stream!` whose type of error is named nowhere.
//!
//! example: fallible_stream

use std::pin::pin;

use async_stream::try_stream;
use futures::TryStreamExt;

#[tokio::main]
async fn main() {
    let mut numbers = pin!(try_stream! {
        let number: u32 = "7".parse()?;
        yield number;
    });
    while let Ok(Some(number)) = numbers.try_next().await {
        println!("{number}");
    }
}
