//~ E0277 `dyn Stream<Item = usize>` cannot be sent between threads safely
//! `Pin<Box<dyn Stream>>` in a struct that moves into a task.
//!
//! example: interval_stream

use std::pin::Pin;

use futures::{Stream, StreamExt, stream};

struct Ticker {
    // Cure: `BoxStream<'static, usize>`, which is `dyn Stream + Send`.
    ticks: Pin<Box<dyn Stream<Item = usize>>>,
}

#[tokio::main]
async fn main() {
    let ticks = Box::pin(stream::iter([0, 1]));
    let mut ticker = Ticker { ticks };
    let task = tokio::spawn(async move {
        while let Some(number) = ticker.ticks.next().await {
            println!("tick {number}");
        }
    });
    println!("{:?}", task.await);
}
