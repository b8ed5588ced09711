//! itertools on a stream: takewhile, dropwhile, chain, accumulate, reduce, any, all.
//!
//! Streams (async iterators) have methods for these functions. A condition returns a
//! future: wrap a `bool` in `ready`. `any`, `all` and `fold` take async closures. Each
//! method takes the stream itself. To read on afterwards, lend the stream instead, with
//! `by_ref()`.
//!
//! Python's `itertools` takes no async iterator: there, write a loop, or use the package
//! aiostream.
//!
//! Streams have no `groupby` and no `tee`. For `groupby`, collect a group in a `Vec`
//! inside `stream!`, and yield it when the key changes. For `tee`, send the items to a
//! `broadcast` channel. For `sorted`, collect first. For `max`, use `fold`. To drop
//! duplicates, write `filter(|key| ready(seen.insert(*key)))` with a `HashSet`, which
//! grows with each new key.
//!
//! Trap: If you read on after `take_while`, `any` or `all`, one item is missing, because
//! they consume the item at which they stop. To keep that item, use `peekable`, which
//! lets you look at an item without consuming it.
//!
//! See also: `comprehensions`, `moving_window`, `chunks_timeout`, `zip_and_enumerate`.
//!
//! asyncio: itertools.islice, async comprehension, async generator expression, async for

use std::future::ready;
use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use tokio::time::sleep;

/// Yields the numbers, 100 ms apart.
fn slow(numbers: &[u32]) -> impl Stream<Item = u32> + '_ {
    stream::iter(numbers).then(async |number| {
        sleep(Duration::from_millis(100)).await;
        *number
    })
}

async fn print(name: &str, numbers: impl Stream<Item = u32>) {
    println!("{name}: {:?}", numbers.collect::<Vec<_>>().await);
}

#[tokio::main]
async fn main() {
    let numbers = [1, 4, 2, 3];
    print("islice", slow(&numbers).skip(1).take(2)).await;
    print("takewhile", slow(&numbers).take_while(|n| ready(*n != 2))).await;
    print("dropwhile", slow(&numbers).skip_while(|n| ready(*n != 4))).await;
    print("chain", slow(&[1, 2]).chain(slow(&[3]))).await;
    let chained = slow(&[1, 2]).flat_map(|n| stream::iter([n; 2]));
    print("chain.from_iterable", chained).await;
    let sums = slow(&numbers).scan(0, |sum, n| {
        *sum += n;
        ready(Some(*sum))
    });
    print("accumulate", sums).await;

    let product = slow(&numbers).fold(1, async |product, n| product * n);
    println!("reduce: {}", product.await);
    println!("any: {}", slow(&numbers).any(async |n| n == 4).await);
    println!("all: {}", slow(&numbers).all(async |n| n > 0).await);

    println!("Behind the item at which it stopped:");
    let mut lent = pin!(slow(&numbers));
    print("takewhile", lent.by_ref().take_while(|n| ready(*n != 4))).await;
    print("the rest", lent).await;
}
