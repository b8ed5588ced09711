//! Turn a cursor into a stream with `try_unfold`, instead of an iterator class.
//!
//! Two functions yield the same rows. `rows` is `__anext__` in Python. The closure of
//! `try_unfold` takes the state and returns an item with the next state, or `None` at the
//! end. `unfold` is the same without errors. `stream_records` is the generator: a `?` in
//! `try_stream!` raises.
//!
//! Trap: the state moves through the closure. An error drops the cursor and ends the
//! stream. If an error must not end the stream, yield it as an item (`fallible_stream`).
//!
//! Trap: an `async` closure cannot use local variables: "async closure does not implement
//! `FnMut` because it captures state". Put what it needs into the state.
//!
//! See also: `counter`, `generator`, `pagination`.
//!
//! asyncio: __aiter__, __anext__, StopAsyncIteration, async for, yield

use std::pin::pin;
use std::time::Duration;

use async_stream::try_stream;
use futures::{Stream, TryStreamExt, stream};
use tokio::time::sleep;

#[derive(Debug, thiserror::Error)]
#[error("the connection was lost")]
pub struct ConnectionLost;

/// A place in a table, whose connection may break at a row.
pub struct Cursor {
    row: u32,
    rows: u32,
    broken_at: Option<u32>,
}

impl Cursor {
    pub fn new(rows: u32, broken_at: Option<u32>) -> Self {
        Self {
            row: 0,
            rows,
            broken_at,
        }
    }

    /// Returns the next row, or `None` after the last. The query takes 100 ms.
    pub async fn fetch(&mut self) -> Result<Option<String>, ConnectionLost> {
        if self.row == self.rows {
            return Ok(None);
        }
        sleep(Duration::from_millis(100)).await;
        if self.broken_at == Some(self.row) {
            return Err(ConnectionLost);
        }
        self.row += 1;
        Ok(Some(format!("row {} of {}", self.row, self.rows)))
    }
}

/// Yields the rows by `try_unfold`, whose state is the cursor.
pub fn rows(cursor: Cursor) -> impl Stream<Item = Result<String, ConnectionLost>> {
    stream::try_unfold(cursor, async |mut cursor| {
        let row = cursor.fetch().await?;
        Ok(row.map(|row| (row, cursor)))
    })
}

/// Yields the same rows by a generator.
pub fn stream_records(
    mut cursor: Cursor,
) -> impl Stream<Item = Result<String, ConnectionLost>> {
    try_stream! {
        while let Some(row) = cursor.fetch().await? {
            yield row;
        }
    }
}

async fn show(
    rows: impl Stream<Item = Result<String, ConnectionLost>>,
) -> Result<(), ConnectionLost> {
    let mut rows = pin!(rows);
    while let Some(row) = rows.try_next().await? {
        println!("{row}");
    }
    println!("the end");
    Ok(())
}

pub async fn run() -> Result<(), ConnectionLost> {
    println!("Rows by a state:");
    show(rows(Cursor::new(3, None))).await?;
    if let Err(error) = show(rows(Cursor::new(3, Some(2)))).await {
        println!("failed: {error}");
    }

    println!("Rows by a generator:");
    show(stream_records(Cursor::new(3, None))).await?;
    if let Err(error) = show(stream_records(Cursor::new(3, Some(2)))).await {
        println!("failed: {error}");
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), ConnectionLost> {
    run().await
}
