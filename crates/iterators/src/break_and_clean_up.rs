//! Break out of an async generator: its clean-up runs when the stream is dropped.
//!
//! Dropping the stream (the generator's async iterator) replaces `aclose`. The body of
//! the generator never continues, and the values that the body owns are dropped. So do
//! not put clean-up after the `yield`. Put it into a `Drop`, as in `Cursor`, a struct of
//! this file.
//!
//! A stream that was pinned (fixed in its place) by `pin!` is dropped at the end of the
//! block, as `aclosing` closes a generator. Dropping a stream also drops the streams that
//! it reads: first the one that it opened last.
//!
//! Trap: If you only `break` out of the loop, nothing is dropped. While a variable holds
//! the stream, its cursor stays open, as in Python. Put the stream and its loop into a
//! block: the end of the block drops the stream.
//!
//! See also: `close_a_stream` for clean-up that awaits, `stop_a_stream`.
//!
//! asyncio: break, aclose, contextlib.aclosing, try, finally, async for

use std::time::Duration;

use async_stream::stream;
use futures::Stream;
use tokio::time::sleep;

/// Simulates a cursor in a database.
pub struct Cursor;

impl Drop for Cursor {
    fn drop(&mut self) {
        println!("The cursor is released");
    }
}

/// Yields rows without end, one every 100 ms.
pub fn rows(cursor: Cursor) -> impl Stream<Item = u32> {
    stream! {
        // The stream owns the cursor even if nobody ever polls it.
        let _cursor = cursor;
        for row in 1.. {
            sleep(Duration::from_millis(100)).await;
            yield row;
        }
    }
}

#[tokio::main]
async fn main() {
    use futures::StreamExt as _;

    println!("In a block of its own:");
    {
        let mut rows = std::pin::pin!(rows(Cursor));
        while let Some(row) = rows.next().await {
            println!("row {row}");
            if row == 2 {
                break;
            }
        }
        println!("Out of the loop");
    }
    sleep(Duration::from_millis(200)).await;
    println!("0.2 s later");

    println!("In a variable that lives on:");
    let mut held = std::pin::pin!(rows(Cursor));
    while let Some(row) = held.next().await {
        println!("row {row}");
        if row == 2 {
            break;
        }
    }
    sleep(Duration::from_millis(200)).await;
    println!("0.2 s later, and the generator is still there");
}
