//! Slide a window over a stream: the last n items, as `itertools.pairwise` for two.
//!
//! A generator keeps the last items in a `VecDeque`, as Python in a `deque(maxlen=n)`,
//! and yields a copy of the window with each new item. The first window comes once it is
//! full. Any function of a window is then a `map`, such as the moving average here.
//!
//! Bounds: The generator holds one window of `size` items, and the consumer its copies.
//!
//! Trap: If the items are large, each window costs much, because it clones its items.
//! Wrap large items in an `Arc` first.
//!
//! See also: `chunks_timeout`, `comprehensions`.
//!
//! asyncio: async for, yield, async generator expression

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt, stream};
use tokio::time::sleep;

/// Yields the last `size` items once there are that many, and again with each new item.
///
/// # Panics
///
/// If `size` is 0.
pub fn windows<S>(items: S, size: usize) -> impl Stream<Item = Vec<S::Item>>
where
    S: Stream,
    S::Item: Clone,
{
    assert!(size > 0, "a window holds at least one item");
    stream! {
        let mut items = pin!(items);
        let mut window = VecDeque::new();
        while let Some(item) = items.next().await {
            if window.len() == size {
                window.pop_front();
            }
            window.push_back(item);
            if window.len() == size {
                yield Vec::from(window.clone());
            }
        }
    }
}

/// Yields prices, each 100 ms after it was asked for.
fn prices(prices: &[u32]) -> impl Stream<Item = u32> + '_ {
    stream::iter(prices).then(async |price| {
        sleep(Duration::from_millis(100)).await;
        *price
    })
}

#[tokio::main]
async fn main() {
    println!("Three at a time:");
    let mut threes = pin!(windows(prices(&[40, 46, 43, 55]), 3));
    while let Some(window) = threes.next().await {
        println!("window {window:?}");
    }

    println!("A moving average:");
    let threes = windows(prices(&[40, 46, 43, 55]), 3);
    let mut averages = pin!(threes.map(|window| window.iter().sum::<u32>() / 3));
    while let Some(average) = averages.next().await {
        println!("{average}");
    }
}
