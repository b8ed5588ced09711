//~ error future cannot be sent between threads safely
//! An `async fn` that takes `&self`, on a struct with a `BoxStream`, called in a task.
//!
//! example: stream_in_a_struct

use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::time::sleep;

struct Watcher {
    pause: Duration,
    prices: BoxStream<'static, u32>,
}

impl Watcher {
    async fn pause(&self) {
        sleep(self.pause).await;
    }

    async fn watch(mut self) {
        while let Some(price) = self.prices.next().await {
            println!("{price}");
            self.pause().await;
        }
    }
}

#[tokio::main]
async fn main() {
    let watcher = Watcher {
        pause: Duration::from_millis(100),
        prices: stream::iter([40, 45]).boxed(),
    };
    println!("{:?}", tokio::spawn(watcher.watch()).await);
}
