//~ E0277 is not an iterator
//! A plain `for` over a stream: Rust has no `async for`.
//!
//! example: generator

use futures::{Stream, stream};

fn numbers() -> impl Stream<Item = u32> {
    stream::iter([1, 2, 3])
}

fn main() {
    // Cure: `while let Some(number) = numbers.next().await`.
    for number in numbers() {
        println!("{number}");
    }
}
