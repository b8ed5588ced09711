//~ E0277 `bool` is not a future
//! A `filter` of futures whose closure returns a plain `bool`.
//!
//! example: comprehensions

use futures::{Stream, StreamExt, stream};

fn even(numbers: Vec<u32>) -> impl Stream<Item = u32> {
    // Cure: `future::ready(number % 2 == 0)`.
    stream::iter(numbers).filter(|number| number % 2 == 0)
}

fn main() {
    drop(even(vec![1, 2, 3]));
}
