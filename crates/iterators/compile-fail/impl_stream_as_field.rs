//~ E0562 `impl Trait` is not allowed in field types
//! A field whose type is `impl Stream`.
//!
//! example: stream_in_a_struct

use futures::{Stream, StreamExt, stream};

struct Watcher {
    prices: impl Stream<Item = u32>,
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
