//~ E0382 borrow of moved value
//! A page that is used after it was yielded: it belongs to the consumer by then.
//!
//! example: generator

use std::pin::pin;

use async_stream::stream;
use futures::{Stream, StreamExt};

fn pages() -> impl Stream<Item = String> {
    stream! {
        for number in 1..=3 {
            let page = format!("page {number}");
            yield page;
            println!("{page} was used");
        }
    }
}

#[tokio::main]
async fn main() {
    let mut pages = pin!(pages());
    while let Some(page) = pages.next().await {
        println!("{page}");
    }
}
