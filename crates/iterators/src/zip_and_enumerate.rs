//! Pair two async iterators (`zip`), and number the items of one (`enumerate`).
//!
//! `zip` waits for both sides concurrently, so a pair takes as long as its slower side.
//! The pairs end when either side ends. `enumerate` counts from 0; to count from 1, zip
//! with `1..` instead. Python has neither function for async iterators: await a `gather`
//! of two `anext`.
//!
//! Trap: If one stream is shorter, you lose an item of the longer stream. When the
//! shorter stream ends, `zip` has already read that item, and drops it, even if you
//! passed the longer stream as `&mut`. If you need the item, write a loop that awaits one
//! stream after the other, as the second part of `main` does: when `years` has ended,
//! that loop still has `name`.
//!
//! See also: `next_with_default`, `merge_streams`.
//!
//! asyncio: zip, enumerate, anext, asyncio.gather(return_exceptions=True), async for

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt, stream};
use tokio::time::sleep;

/// Yields the items, each followed by a pause of this many milliseconds.
fn every<T>(millis: u64, items: Vec<T>) -> impl Stream<Item = T> {
    stream! {
        for item in items {
            yield item;
            sleep(Duration::from_millis(millis)).await;
        }
    }
}

#[tokio::main]
async fn main() {
    println!("Waiting for both:");
    let names = every(200, vec!["Ada", "Grace", "Edsger"]);
    let years = every(300, vec![1815, 1906]);
    let mut pairs = pin!(names.zip(years));
    while let Some((name, year)) = pairs.next().await {
        println!("{name}, born {year}");
    }

    println!("Waiting for one, then for the other:");
    let mut names = pin!(every(200, vec!["Ada", "Grace", "Edsger"]));
    let mut years = pin!(every(300, vec![1815, 1906]));
    while let Some(name) = names.next().await {
        let Some(year) = years.next().await else {
            break;
        };
        println!("{name}, born {year}");
    }

    println!("Numbered from 0:");
    let mut letters = pin!(every(100, vec!["a", "b"]).enumerate());
    while let Some((index, letter)) = letters.next().await {
        println!("{index}: {letter}");
    }

    println!("Numbered from 1:");
    let mut letters = pin!(stream::iter(1..).zip(every(100, vec!["a", "b"])));
    while let Some((place, letter)) = letters.next().await {
        println!("{place}: {letter}");
    }

    println!("What a lent stream has left of 1 to 5:");
    let mut longer = pin!(every(100, vec![1, 2, 3, 4, 5]));
    let mut pairs = pin!((&mut longer).zip(every(200, vec!["a", "b"])));
    while let Some((number, letter)) = pairs.next().await {
        println!("{number} with {letter}");
    }
    println!("{:?}", longer.collect::<Vec<i32>>().await);
}
