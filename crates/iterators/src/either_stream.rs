//! Return one stream or another: `Either`, or a boxed stream.
//!
//! A Python function may return any async iterator. In Rust, `impl Stream` stands for one
//! type, which the function chooses. `left_stream` and `right_stream` wrap two streams
//! into one type, `Either`, without a box. For three or more types, call `boxed` on each:
//! then the function returns a `BoxStream`, which also fits into a struct.
//!
//! Trap: If an `if` or `match` has two streams as its values, they have "incompatible
//! types", even if their items are equal. The streams of two `stream!` blocks differ,
//! too. Wrap each of them as above.
//!
//! Trap: If one of the streams is a generator, the `Either` "cannot be unpinned", like
//! the generator itself. Pin the stream (fix it in its place) at the call, as in
//! `pin!(prices(..))`, or return a boxed one.
//!
//! See also: `stream_in_a_struct`, `merge_streams`, `next_with_default`.
//!
//! asyncio: async for, yield

use std::future::ready;
use std::time::Duration;

use async_stream::stream;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use tokio::time::sleep;

fn live_prices() -> impl Stream<Item = u32> {
    stream! {
        for price in [44, 51, 47] {
            sleep(Duration::from_millis(100)).await;
            yield price;
        }
    }
}

/// Yields the prices, only those above a limit if there is one.
pub fn above(
    prices: impl Stream<Item = u32>,
    limit: Option<u32>,
) -> impl Stream<Item = u32> {
    match limit {
        Some(limit) => prices
            .filter(move |&price| ready(price > limit))
            .left_stream(),
        None => prices.right_stream(),
    }
}

/// Where prices come from.
#[derive(Clone, Debug)]
pub enum Source {
    Live,
    Saved(Vec<u32>),
    Closed,
}

/// Yields the prices of a source.
pub fn prices(source: Source) -> BoxStream<'static, u32> {
    match source {
        Source::Live => live_prices().boxed(),
        Source::Saved(prices) => stream::iter(prices).boxed(),
        Source::Closed => stream::empty().boxed(),
    }
}

#[tokio::main]
async fn main() {
    println!("With and without a filter:");
    for limit in [Some(45), None] {
        let mut prices = std::pin::pin!(above(live_prices(), limit));
        while let Some(price) = prices.next().await {
            println!("price {price}");
        }
    }

    println!("From three sources:");
    for source in [Source::Live, Source::Saved(vec![42, 43]), Source::Closed] {
        let mut prices = prices(source);
        while let Some(price) = prices.next().await {
            println!("price {price}");
        }
        println!("no more prices");
    }
}
