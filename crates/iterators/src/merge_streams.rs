//! Merge several streams into one that yields whatever comes first.
//!
//! `select` merges two streams, `select_all` any number that is known at run time; both
//! end when every source has ended. Sources of different types are mapped into one enum
//! first. In asyncio each source needs a task and a queue between. The trap: here nobody
//! but the consumer polls the sources, so while its loop body awaits, none of them moves.
//! Where that hurts, give each source a task that sends to a channel (`channel_stream`).
//!
//! asyncio: Queue, create_task, async generators

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::stream::{select, select_all};
use futures::{Stream, StreamExt};
use tokio::time::sleep;

/// Yields 1, 2, 3 and so on, each after `period`.
fn count(last: u32, period: Duration) -> impl Stream<Item = u32> {
    stream! {
        for number in 1..=last {
            sleep(period).await;
            yield number;
        }
    }
}

enum Event {
    Price(u32),
    News(String),
}

pub async fn run() {
    let fast = count(4, Duration::from_millis(200));
    let slow = count(2, Duration::from_millis(500));

    let prices = fast.map(Event::Price);
    let news = slow.map(|number| Event::News(format!("headline {number}")));
    let mut events = pin!(select(prices, news));
    while let Some(event) = events.next().await {
        match event {
            Event::Price(price) => println!("price {price}"),
            Event::News(headline) => println!("news: {headline}"),
        }
    }
    println!("Both have ended");

    let sensors = [("north", 700), ("east", 300), ("south", 500)];
    let readings = sensors.map(|(name, millis)| {
        let readings = count(2, Duration::from_millis(millis));
        // Streams of different origin go into one collection behind a box.
        readings
            .map(move |number| format!("{name} {number}"))
            .boxed()
    });
    let mut readings = select_all(readings);
    while let Some(reading) = readings.next().await {
        println!("{reading}");
    }
    println!("All have ended");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
