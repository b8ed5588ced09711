//! Write an async generator and loop over it: `yield` and `async for`.
//!
//! The body of the generator is inside `stream!`, of the crate `async-stream`. The result
//! is a stream, Rust's async iterator. Each `yield` hands a number to the loop, and the
//! loop ends when the body does. `async for` is a `while let` with `next().await`. `pin!`
//! fixes the stream in its place in memory, as `next` requires.
//!
//! All `yield`s of one `stream!` give the same type. Otherwise the compiler reports
//! "mismatched types", with a note about `send`, which is a function inside the macro.
//!
//! A plain generator, a `def` with `yield`, becomes an iterator: `std::iter::from_fn`.
//! Code that is not async takes the next item by `runtime.block_on(stream.next())`.
//!
//! See also: `generator`, `record_stream`, `stream_by_hand`, `comprehensions`.
//!
//! asyncio: async def, yield, async for

use async_stream::stream;
use futures::Stream;
use tokio::time::{Duration, sleep};

/// Yields the numbers below `stop`, each after 100 ms.
pub fn async_range(stop: u32) -> impl Stream<Item = u32> {
    stream! {
        for number in 0..stop {
            sleep(Duration::from_millis(100)).await;
            yield number;
        }
    }
}

#[tokio::main]
async fn main() {
    use futures::StreamExt as _;

    let mut numbers = std::pin::pin!(async_range(3));
    while let Some(number) = numbers.next().await {
        println!("{number}");
    }
}
