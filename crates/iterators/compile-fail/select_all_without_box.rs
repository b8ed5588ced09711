//~ E0277 cannot be unpinned
//! `select_all` over generators that are not boxed.
//!
//! example: merge_streams

use async_stream::stream;
use futures::Stream;
use futures::stream::select_all;

fn count(last: u32) -> impl Stream<Item = u32> {
    stream! {
        for number in 1..=last {
            yield number;
        }
    }
}

#[tokio::main]
async fn main() {
    let numbers = select_all([count(2), count(3)]);
    drop(numbers);
}
