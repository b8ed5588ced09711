//! Async comprehensions as chains of stream adapters.
//!
//! A list comprehension is a chain that ends in `collect`; a generator expression is the
//! same chain without it, and as lazy. `then` awaits each element before it goes on to
//! the next. The trap is `map` with an async function, which makes a stream of futures
//! that nobody has awaited. `filter` wants a future as well: wrap a plain condition in
//! `future::ready`.
//!
//! asyncio: async comprehensions, async generator expressions, conditional comprehensions

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt, future, stream};
use tokio::time::sleep;

async fn square(number: u32) -> u32 {
    sleep(Duration::from_millis(100)).await;
    number * number
}

/// Yields 0, 1, 2 and so on, each after a pause of 100 ms.
fn async_range(count: u32) -> impl Stream<Item = u32> {
    stream::iter(0..count).then(async |number| {
        sleep(Duration::from_millis(100)).await;
        number
    })
}

pub async fn run() {
    // [await square(n) for n in numbers]
    let numbers = [1, 2, 3, 4, 5];
    let squares: Vec<u32> = stream::iter(numbers).then(square).collect().await;
    println!("Squared (sequential): {squares:?}");

    // [await square(n) async for n in async_range(5)]
    let squares: Vec<u32> = async_range(5).then(square).collect().await;
    println!("Squared from a stream: {squares:?}");

    // [2 * n async for n in async_range(5)]
    let doubled: Vec<u32> = async_range(5).map(|number| 2 * number).collect().await;
    println!("Doubled: {doubled:?}");

    // [await square(n) for n in numbers if n % 2 == 0]
    let even: Vec<u32> = stream::iter(numbers)
        .filter(|number| future::ready(number % 2 == 0))
        .then(square)
        .collect()
        .await;
    println!("Even squared: {even:?}");

    // (await square(n) async for n in async_range(5))
    let mut lazy = pin!(async_range(5).then(square));
    println!("Nothing has been squared yet");
    while let Some(square) = lazy.next().await {
        println!("{square}");
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
