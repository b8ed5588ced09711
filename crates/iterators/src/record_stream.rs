//! Turn a cursor into a stream with `unfold` or `try_unfold`: an iterator class.
//!
//! Two forms that yield the same rows. `try_unfold` is the class with `__anext__`: its
//! closure takes the state, awaits, and gives back an item with the next state, or `None`
//! for the end. (`unfold` is the same without errors.) `try_stream!` is the generator,
//! and `?` in it raises. The closure may not use what is around it, for which it must be
//! `|state| async move { .. }` (`comprehensions`): what it needs goes into the state. The
//! trap is that the state moves through the closure: with an error the cursor is gone and
//! the stream at its end. Errors that must not end it are items (`fallible_stream`).
//!
//! asyncio: __aiter__, __anext__, StopAsyncIteration, async for, yield

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use async_stream::try_stream;
use futures::{Stream, TryStreamExt, stream};
use tokio::time::sleep;

#[derive(Debug)]
pub struct ConnectionLost;

impl fmt::Display for ConnectionLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was lost")
    }
}

impl std::error::Error for ConnectionLost {}

/// A place in a table of so many rows, the last of which may be out of reach.
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

    /// The next row, or `None` after the last: a query that takes 100 ms.
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

/// The rows by `try_unfold`, whose state is the cursor.
pub fn rows(cursor: Cursor) -> impl Stream<Item = Result<String, ConnectionLost>> {
    stream::try_unfold(cursor, async |mut cursor| {
        let row = cursor.fetch().await?;
        Ok(row.map(|row| (row, cursor)))
    })
}

/// The same rows by a generator.
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
