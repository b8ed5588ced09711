//~ E0308 `if` and `else` have incompatible types
//! An `if` whose two branches are streams of different types.
//!
//! example: either_stream

use futures::{Stream, StreamExt, stream};

fn cached() -> impl Stream<Item = u32> {
    stream::iter([40])
}

fn fetched() -> impl Stream<Item = u32> {
    stream::iter([40, 45])
}

#[tokio::main]
async fn main() {
    // Cure: `.boxed()` on both.
    let prices = if std::env::args().len() > 1 {
        cached()
    } else {
        fetched()
    };
    println!("{:?}", prices.collect::<Vec<_>>().await);
}
