//! Merge several streams into one that yields whatever comes first: a fan-in, `select`.
//!
//! The function `select` of the crate `futures` merges two streams (async iterators),
//! `select_all` any number of streams of one type. The merged stream ends when every
//! source has ended. Map sources of different types into one enum first.
//!
//! `select_all` needs streams that may be moved (`Unpin`). Box a generator, which
//! otherwise "cannot be unpinned". If the generators come from several functions,
//! `.boxed()` gives all of them one type.
//!
//! Trap: If your loop body awaits something else, no source runs in that time, because
//! only the loop polls the sources (lets them run). In asyncio, each source is a task
//! that keeps reading. Where that matters, use a task for each source, and a channel (the
//! example `fan_in`).
//!
//! See also: `fan_in`, `stream_map`, `select_all_push`.
//!
//! asyncio: asyncio.Queue, asyncio.TaskGroup, asyncio.create_task, async for
//! differs: a busy body holds up the sources; tasks of asyncio keep reading

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::stream::{select, select_all};
use futures::{Stream, StreamExt};
use tokio::time::sleep;

/// Yields 1, 2, 3 and so on, each after this many milliseconds.
fn count(last: u32, millis: u64) -> impl Stream<Item = u32> {
    stream! {
        for number in 1..=last {
            sleep(Duration::from_millis(millis)).await;
            yield number;
        }
    }
}

enum Event {
    Price(u32),
    News(String),
}

#[tokio::main]
async fn main() {
    println!("Two of different types:");
    let prices = count(4, 200).map(Event::Price);
    let news = count(2, 500).map(|number| Event::News(format!("headline {number}")));
    let mut events = pin!(select(prices, news));
    while let Some(event) = events.next().await {
        match event {
            Event::Price(price) => println!("price {price}"),
            Event::News(headline) => println!("news: {headline}"),
        }
    }

    println!("Any number of them:");
    let sensors = [("north", 700), ("east", 300), ("south", 500)];
    let mut readings = select_all(sensors.map(|(name, millis)| {
        let readings = count(2, millis);
        readings
            .map(move |number| format!("{name} {number}"))
            .boxed()
    }));
    while let Some(reading) = readings.next().await {
        println!("{reading}");
    }

    println!("With a body that takes 0.3 s:");
    let fast = count(3, 200).map(|number| format!("fast {number}"));
    let slow = count(2, 650).map(|number| format!("slow {number}"));
    let mut both = pin!(select(fast, slow));
    while let Some(item) = both.next().await {
        println!("{item}");
        sleep(Duration::from_millis(300)).await;
    }
}
