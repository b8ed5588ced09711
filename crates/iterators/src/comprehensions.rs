//! Async comprehensions and generator expressions as chains: `map`, `then`, `filter`.
//!
//! A comprehension is a chain of adapters (methods of a stream) that ends in `collect`: a
//! list, a set or a dictionary, depending on the type that you ask for. Without
//! `collect`, the chain is a lazy generator expression. `then` awaits each element before
//! the next. The closure of `filter` returns a future: wrap a `bool` in `ready`. `fold`
//! takes the place of `sum`.
//!
//! Trap: If you pass an async function to `map`, you collect futures, as a comprehension
//! without `await` collects coroutines. Use `then`.
//!
//! Trap: If a closure uses a local variable, write it as `move |n| async move { .. }`.
//! Otherwise the compiler reports "async closure does not implement `FnMut` because it
//! captures state".
//!
//! See also: `async_filter`, `buffered_in_order`, `fallible_stream`.
//!
//! asyncio: async comprehension, async generator expression, asyncio.gather, await

use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use tokio::time::sleep;

async fn square(number: u32) -> u32 {
    sleep(Duration::from_millis(100)).await;
    number * number
}

/// Yields 0, 1, 2 and so on, each after a delay.
pub fn async_range(count: u32, delay: Duration) -> impl Stream<Item = u32> {
    stream::iter(0..count).then(move |number| async move {
        sleep(delay).await;
        number
    })
}

#[tokio::main]
async fn main() {
    use futures::future::join_all;

    // [await square(n) for n in numbers]
    let delay = Duration::from_millis(50);
    let numbers = [1, 2, 3, 4, 5];
    let squares: Vec<u32> = stream::iter(numbers).then(square).collect().await;
    println!("Squared (sequential): {squares:?}");

    // {n: 2 * n async for n in async_range(3, delay)}
    let pairs = async_range(3, delay).map(|number| (number, 2 * number));
    let doubled: std::collections::BTreeMap<u32, u32> = pairs.collect().await;
    println!("Doubled, in a dictionary: {doubled:?}");

    // sum([n async for n in async_range(4, delay)])
    let sum = async_range(4, delay).fold(0, async |sum, number| sum + number);
    println!("The sum: {}", sum.await);

    // [await square(n) for n in numbers if n % 2 == 0]
    let even = stream::iter(numbers).filter(|number| std::future::ready(number % 2 == 0));
    let even: Vec<u32> = even.then(square).collect().await;
    println!("Even squared: {even:?}");

    // [square(n) for n in numbers], and then await gather(*squares)
    let squares: Vec<_> = stream::iter(numbers).map(square).collect().await;
    println!("Without await, not squared: {}", squares.len());
    println!("Squared (at once): {:?}", join_all(squares).await);

    // (await square(n) async for n in async_range(3, delay))
    let mut lazy = std::pin::pin!(async_range(3, delay).then(square));
    println!("Nothing has been squared yet");
    while let Some(square) = lazy.next().await {
        println!("{square}");
    }
}
