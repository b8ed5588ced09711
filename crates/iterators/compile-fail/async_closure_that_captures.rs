//~ error async closure does not implement `FnMut` because it captures state
//! An async closure, in an adapter, that uses a local variable.
//!
//! example: comprehensions

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use tokio::time::sleep;

fn async_range(count: u32, delay: Duration) -> impl Stream<Item = u32> {
    stream::iter(0..count).then(async move |number| {
        sleep(delay).await;
        number
    })
}

#[tokio::main]
async fn main() {
    let numbers = async_range(3, Duration::from_millis(100));
    println!("{:?}", numbers.collect::<Vec<_>>().await);
}
