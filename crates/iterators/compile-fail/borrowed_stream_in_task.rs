//~ E0597 does not live long enough
//! A task that gets a stream over data of its caller.
//!
//! example: stream_in_a_struct

use futures::{Stream, StreamExt, stream};

fn prices(quotes: &[u32]) -> impl Stream<Item = u32> {
    stream::iter(quotes).map(|price| price + 1)
}

#[tokio::main]
async fn main() {
    let quotes = vec![40, 45];
    let prices = prices(&quotes);
    let task = tokio::spawn(prices.collect::<Vec<_>>());
    println!("{:?}", task.await);
}
