//~ E0782 expected a type, found a trait
//! A field whose type is `Stream`, which is a trait.
//!
//! example: stream_in_a_struct

use futures::{Stream, StreamExt, stream};

struct Watcher {
    prices: Stream<Item = u32>,
}

#[tokio::main]
async fn main() {
    let mut watcher = Watcher {
        prices: stream::iter([40, 45]),
    };
    while let Some(price) = watcher.prices.next().await {
        println!("{price}");
    }
}
