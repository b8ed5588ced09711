//~ E0277 cannot be unpinned
//! A loop over a generator that is not pinned.
//!
//! example: generator

use async_stream::stream;
use futures::{Stream, StreamExt};

fn numbers() -> impl Stream<Item = u32> {
    stream! {
        for number in 0..3 {
            yield number;
        }
    }
}

#[tokio::main]
async fn main() {
    let mut numbers = numbers();
    while let Some(number) = numbers.next().await {
        println!("{number}");
    }
}
