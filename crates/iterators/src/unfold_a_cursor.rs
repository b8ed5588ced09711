//! Turn a cursor into a stream with `try_unfold`, instead of an iterator class.
//!
//! A cursor has its own state, and its queries can fail. The closure of `try_unfold` is
//! `__anext__` in Python: the closure takes the state and returns an item with the next
//! state, or `None` at the end. `unfold` is the same without errors, but panics if `next`
//! is called after its end: add `.fuse()`. A generator works as well: `try_stream!` with
//! a loop over the cursor's `fetch`. To count rows, see the example `record_stream`.
//!
//! Trap: If the closure returns an error, the cursor is dropped and the stream ends,
//! because the state has moved into the closure. If an error must not end the stream,
//! yield it as an item (see the example `fallible_stream`).
//!
//! Trap: If an `async` closure uses local variables, the compiler reports "async closure
//! does not implement `FnMut` because it captures state". Put such variables into the
//! state.
//!
//! See also: `record_stream`, `stream_by_hand`, `pagination`.
//!
//! asyncio: __aiter__, __anext__, StopAsyncIteration, async for

use std::pin::pin;
use std::time::Duration;

use futures::{Stream, TryStreamExt, stream};
use tokio::time::sleep;

#[derive(Debug, thiserror::Error)]
#[error("the connection was lost")]
pub struct ConnectionLost;

/// A position in a table. Its connection may break at a row.
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

/// Yields the rows. The cursor is the state of `try_unfold`.
pub fn rows(cursor: Cursor) -> impl Stream<Item = Result<String, ConnectionLost>> {
    stream::try_unfold(cursor, async |mut cursor| {
        let row = cursor.fetch().await?;
        Ok(row.map(|row| (row, cursor)))
    })
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

#[tokio::main]
async fn main() -> Result<(), ConnectionLost> {
    println!("All rows:");
    show(rows(Cursor::new(3, None))).await?;
    println!("The connection breaks at the third row:");
    if let Err(error) = show(rows(Cursor::new(3, Some(2)))).await {
        println!("failed: {error}");
    }
    Ok(())
}
