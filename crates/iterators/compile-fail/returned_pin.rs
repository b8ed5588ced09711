//~ E0716 temporary value dropped while borrowed
//! A function that returns what `pin!` has pinned, which is on its own stack.
//!
//! example: stream_in_a_struct

use std::pin::pin;

use futures::{Stream, StreamExt, stream};

fn prices() -> impl Stream<Item = u32> + Unpin {
    pin!(stream::iter([40, 45]))
}

#[tokio::main]
async fn main() {
    let mut prices = prices();
    while let Some(price) = prices.next().await {
        println!("{price}");
    }
}
