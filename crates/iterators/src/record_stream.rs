//! Stream records that are fetched one by one: an async call for each row number.
//!
//! In Python this is a class with `__anext__`, or a generator that counts. Here it is an
//! iterator of the row numbers, and `then` awaits a call for each number. The next call
//! starts when the loop asks for the next record. `for_each` is the loop. If the body of
//! your loop needs `break` or `?`, write the `while let` of the example `async_range`.
//!
//! See also: `async_range`, `unfold_a_cursor`, `fetch_stream`, `stream_by_hand`.
//!
//! asyncio: __aiter__, __anext__, async def, yield, async for

use futures::{Stream, StreamExt, stream};
use tokio::time::{Duration, sleep};

/// Simulates a query that takes 100 ms.
async fn fetch(row: u32) -> String {
    sleep(Duration::from_millis(100)).await;
    format!("record {row}")
}

/// Yields the number and the record of each row.
pub fn record_stream(max_rows: u32) -> impl Stream<Item = (u32, String)> {
    stream::iter(0..max_rows).then(async |row| (row, fetch(row).await))
}

#[tokio::main]
async fn main() {
    let show = async |(row, record)| println!("{row}: {record}");
    record_stream(3).for_each(show).await;
}
