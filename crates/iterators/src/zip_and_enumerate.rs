//! Pair two streams, and number the items of one.
//!
//! `zip` waits for both sides at the same time, so a pair takes as long as the slower
//! side; awaiting one after the other would take the sum. It ends when either side ends.
//! The trap: what the longer side has already yielded by then is lost, also when it was
//! lent with `by_ref`. `enumerate` counts from 0; zip with `1..` to count from 1. asyncio
//! has neither for async iterators.
//!
//! asyncio: zip, enumerate, anext, TaskGroup

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use tokio::time::sleep;

/// Yields the items, each after `period`.
fn every<T>(period: Duration, items: Vec<T>) -> impl Stream<Item = T> {
    stream::iter(items).then(move |item| async move {
        sleep(period).await;
        item
    })
}

pub async fn run() {
    let names = every(Duration::from_millis(200), vec!["Ada", "Grace", "Edsger"]);
    let years = every(Duration::from_millis(300), vec![1815, 1906]);
    let mut pairs = pin!(names.zip(years));
    while let Some((name, year)) = pairs.next().await {
        println!("{name}, born {year}");
    }
    println!("The shorter side has ended");

    let mut places = pin!(every(Duration::from_millis(100), vec!["a", "b"]).enumerate());
    while let Some((index, letter)) = places.next().await {
        println!("{index}: {letter}");
    }

    let letters = every(Duration::from_millis(100), vec!["a", "b"]);
    let mut places = pin!(stream::iter(1..).zip(letters));
    while let Some((place, letter)) = places.next().await {
        println!("{place}. {letter}");
    }

    let mut longer = stream::iter(1..=5);
    let mut pairs = longer.by_ref().zip(stream::iter(["a", "b"]));
    while let Some((number, letter)) = pairs.next().await {
        println!("{number} with {letter}");
    }
    let rest: Vec<i32> = longer.collect().await;
    println!("What the zip has left of 1 to 5: {rest:?}");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
