//~ E0599 is not an iterator
//! `sum`, which only iterators have, on a stream.
//!
//! example: itertools_on_streams

use futures::{Stream, stream};

fn numbers() -> impl Stream<Item = u32> {
    stream::iter([1, 2, 3])
}

#[tokio::main]
async fn main() {
    // Cure: `fold(0, async |sum, number| sum + number)`.
    let sum: u32 = numbers().sum().await;
    println!("{sum}");
}
