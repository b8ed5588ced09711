//~ E0716 temporary value dropped while borrowed
//! A stream that is pinned outside the task that loops over it.
//!
//! example: generator

use std::pin::pin;

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
    let mut numbers = pin!(numbers());
    let task = tokio::spawn(async move {
        while let Some(number) = numbers.next().await {
            println!("{number}");
        }
    });
    println!("{:?}", task.await);
}
