//~ E0308 expected opaque type, found a different opaque type
//! Streams of two functions in one array.
//!
//! example: merge_streams

use futures::stream::{self, select_all};
use futures::{Stream, StreamExt};

fn prices() -> impl Stream<Item = u32> + Unpin {
    stream::iter([40, 45])
}

fn volumes() -> impl Stream<Item = u32> + Unpin {
    stream::iter([1000, 3000])
}

#[tokio::main]
async fn main() {
    let mut numbers = select_all([prices(), volumes()]);
    while let Some(number) = numbers.next().await {
        println!("{number}");
    }
}
