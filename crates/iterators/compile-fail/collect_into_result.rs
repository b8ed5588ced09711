//~ E0277 is not satisfied
//! A stream of `Result`s, collected as an iterator would be.
//!
//! example: comprehensions

use std::num::ParseIntError;

use futures::{StreamExt, stream};

#[tokio::main]
async fn main() {
    let parsed: Result<Vec<u32>, ParseIntError> = stream::iter(["1", "x"])
        .map(|text| text.parse::<u32>())
        .collect()
        .await;
    println!("{parsed:?}");
}
