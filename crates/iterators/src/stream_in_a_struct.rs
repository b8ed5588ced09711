//! Store a stream in a struct, return it from a method, move it into a task.
//!
//! In Python any attribute can hold a generator. In Rust a field needs a type with a
//! name, and the type of a generator has none. `.boxed()` makes a
//! `BoxStream<'static, T>`, which fits into a field, a return type and a task. A struct
//! with a parameter, as in `struct Watcher<S: Stream + Unpin>`, needs no box.
//!
//! `Watcher`, a struct of this file, has a stream in a field. Its method `watch` reads
//! the stream, and awaits its method `report` for each item.
//!
//! Trap: If the stream borrows from `self`, `tokio::spawn` refuses it: "borrowed data
//! escapes outside of method". The `'static` in the type means that the stream borrows
//! nothing. Copy what the stream needs out of `self` first, as the method
//! `Market::prices` does.
//!
//! Trap: If you write `report` with `&self`, `tokio::spawn` refuses the future of
//! `watch`: "future cannot be sent between threads safely". Several threads could hold a
//! `&self` at the same time, but a `BoxStream` is not `Sync`: threads may not share it.
//! Take `&mut self`, as here: only one caller at a time can hold it.
//!
//! See also: `either_stream`, `generator`, `stream_by_hand`, `break_and_clean_up`.
//!
//! asyncio: asyncio.create_task, async for, yield

use std::collections::HashMap;
use std::time::Duration;

use async_stream::stream;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use tokio::time::sleep;

pub struct Market {
    quotes: HashMap<String, u32>,
}

impl Market {
    /// Yields the prices of a symbol without end, or nothing if the symbol is unknown.
    pub fn prices(&self, symbol: &str) -> BoxStream<'static, u32> {
        let Some(mut price) = self.quotes.get(symbol).copied() else {
            return stream::empty().boxed();
        };
        stream! {
            loop {
                sleep(Duration::from_millis(100)).await;
                yield price;
                price += 5;
            }
        }
        .boxed()
    }
}

pub struct Watcher {
    name: String,
    prices: BoxStream<'static, u32>,
}

impl Watcher {
    pub fn new(name: &str, prices: impl Stream<Item = u32> + Send + 'static) -> Self {
        let (name, prices) = (name.to_owned(), prices.boxed());
        Self { name, prices }
    }

    async fn report(&mut self, price: u32) {
        sleep(Duration::from_millis(100)).await;
        println!("{}: {price}", self.name);
    }

    /// Reports each price, and returns a message at the end.
    pub async fn watch(mut self) -> String {
        while let Some(price) = self.prices.next().await {
            self.report(price).await;
        }
        format!("{}: no more prices", self.name)
    }
}

#[tokio::main]
async fn main() -> Result<(), tokio::task::JoinError> {
    let quotes = HashMap::from([("gold".to_owned(), 40)]);
    let market = Market { quotes };

    println!("From a method into a struct, and into a task:");
    let gold = Watcher::new("gold", market.prices("gold").take(2));
    println!("{}", tokio::spawn(gold.watch()).await?);

    println!("Any other stream fits:");
    let fixed = Watcher::new("bread", stream::iter([2, 3]));
    println!("{}", fixed.watch().await);
    Ok(())
}
