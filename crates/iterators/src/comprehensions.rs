//! Async comprehensions and generator expressions as chains: `map`, `then`, `filter`.
//!
//! A list comprehension is a chain of adapters, which make one stream of another, and of
//! `collect` (for `Result`s `try_collect`: `collect` into a `Result` is refused). Without
//! it the chain is a generator expression, and as lazy. `then` awaits each element before
//! the next. The trap is `map` with an async function: it gives a list of futures, as a
//! comprehension without `await` gives coroutines. `filter` wants a future too (one that
//! waits: `async_filter`). A closure that uses what is around it is written
//! `move |n| async move { .. }`: an "async closure does not implement `FnMut` because it
//! captures state from its environment".
//!
//! asyncio: async comprehension, async generator expression, asyncio.gather, await

use std::num::ParseIntError;
use std::pin::pin;
use std::time::Duration;

use futures::future::{self, join_all};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::time::sleep;

async fn square(number: u32) -> u32 {
    sleep(Duration::from_millis(100)).await;
    number * number
}

/// Yields 0, 1, 2 and so on, each after a pause.
pub fn async_range(count: u32, delay: Duration) -> impl Stream<Item = u32> {
    stream::iter(0..count).then(move |number| async move {
        sleep(delay).await;
        number
    })
}

async fn parse(text: &str) -> Result<u32, ParseIntError> {
    sleep(Duration::from_millis(100)).await;
    text.parse()
}

pub async fn run() {
    // [await square(n) for n in numbers]
    let pause = Duration::from_millis(50);
    let numbers = [1, 2, 3, 4, 5];
    let squares: Vec<u32> = stream::iter(numbers).then(square).collect().await;
    println!("Squared (sequential): {squares:?}");

    // [await square(n) async for n in async_range(3, pause)]
    let squares: Vec<u32> = async_range(3, pause).then(square).collect().await;
    println!("Squared from a stream: {squares:?}");

    // [2 * n async for n in async_range(3, pause)]
    let doubled: Vec<u32> = async_range(3, pause)
        .map(|number| 2 * number)
        .collect()
        .await;
    println!("Doubled: {doubled:?}");

    // [await square(n) for n in numbers if n % 2 == 0]
    let even: Vec<u32> = stream::iter(numbers)
        .filter(|number| future::ready(number % 2 == 0))
        .then(square)
        .collect()
        .await;
    println!("Even squared: {even:?}");

    // [square(n) for n in numbers], and then await gather(*squares)
    let squares: Vec<_> = stream::iter(numbers).map(square).collect().await;
    println!("Without await, not squared: {}", squares.len());
    println!("Squared (at once): {:?}", join_all(squares).await);

    // [await parse(text) for text in ["7", "x", "9"]], and except ValueError
    let texts = stream::iter(["7", "x", "9"]);
    let parsed: Result<Vec<u32>, _> = texts.then(parse).try_collect().await;
    match parsed {
        Ok(parsed) => println!("Parsed: {parsed:?}"),
        Err(_) => println!("Not parsed"),
    }

    // (await square(n) async for n in async_range(3, pause))
    let mut lazy = pin!(async_range(3, pause).then(square));
    println!("Nothing has been squared yet");
    while let Some(square) = lazy.next().await {
        println!("{square}");
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
