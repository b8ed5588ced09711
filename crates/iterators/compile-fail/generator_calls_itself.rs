//~ E0733 recursion in an async block requires boxing
//! A generator that delegates to itself, as `async for x in walk(child): yield x`.
//!
//! example: recursive_generator

use std::pin::pin;

use async_stream::stream;
use futures::{Stream, StreamExt};

fn walk(depth: u32) -> impl Stream<Item = u32> {
    stream! {
        yield depth;
        if depth < 3 {
            // Cure: `-> BoxStream<'static, u32>`, and `.boxed()` after the block.
            let mut below = pin!(walk(depth + 1));
            while let Some(depth) = below.next().await {
                yield depth;
            }
        }
    }
}

#[tokio::main]
async fn main() {
    println!("{:?}", walk(1).collect::<Vec<_>>().await);
}
