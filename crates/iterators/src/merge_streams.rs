//! Merge several streams into one that yields whatever comes first: a fan-in, `select`.
//!
//! The function `select` of the crate `futures` merges two streams (async iterators).
//! `select_all` merges any number of streams of one type. The merged stream ends when
//! every source has ended. If the sources yield different types, first map their items
//! into one enum.
//!
//! `select_all` needs streams that may be moved (`Unpin`), but a generator "cannot be
//! unpinned". So call `.boxed()` on each generator. This also gives one type to
//! generators that come from several functions.
//!
//! Trap: If your loop body awaits something else, no source runs in that time, because
//! the sources run only while the loop waits for the next item. In asyncio, each source
//! is a task that keeps reading. If your sources must keep running, use a task for each
//! source, and a channel (the example `fan_in`).
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
