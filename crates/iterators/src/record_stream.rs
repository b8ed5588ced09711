//! Stream the rows of a table, with the cursor as the stream's state.
//!
//! Two forms that yield the same rows. `unfold` is the iterator class without the poll:
//! its closure takes the state, awaits, and gives back an item with the next state, or
//! `None` for the end. `stream!` is the generator. The trap in `unfold` is that the state
//! moves through the closure: what is left out of the returned pair is gone, and without
//! a `None` the stream never ends.
//!
//! asyncio: __anext__ that awaits, async generators, enumerate

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt, stream};
use tokio::time::sleep;

/// A row's number and its content.
pub type Row = (usize, String);

/// Stands for a query that takes 100 ms.
async fn query(row: usize) -> String {
    sleep(Duration::from_millis(100)).await;
    format!("record {row}")
}

/// The rows by `unfold`: the state is the number of the next row.
pub fn rows(max_rows: usize) -> impl Stream<Item = Row> {
    stream::unfold(0, move |row| async move {
        if row == max_rows {
            return None;
        }
        Some(((row, query(row).await), row + 1))
    })
}

/// The same rows by a generator.
pub fn stream_records(max_rows: usize) -> impl Stream<Item = Row> {
    stream! {
        for row in 0..max_rows {
            yield (row, query(row).await);
        }
    }
}

pub async fn run() {
    let mut by_state = pin!(rows(3));
    while let Some((row, content)) = by_state.next().await {
        println!("row {row}: {content}");
    }

    let mut by_generator = pin!(stream_records(3));
    while let Some((row, content)) = by_generator.next().await {
        println!("row {row}: {content}");
    }

    let by_state: Vec<Row> = rows(3).collect().await;
    let by_generator: Vec<Row> = stream_records(3).collect().await;
    let same = if by_state == by_generator {
        "yes"
    } else {
        "no"
    };
    println!("The same rows: {same}");
    println!("Rows of an empty table: {}", rows(0).count().await);
}

#[tokio::main]
pub async fn main() {
    run().await;
}
