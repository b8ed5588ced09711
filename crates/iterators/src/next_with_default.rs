//! Take the next item or a default: `anext(it, default)`, and the else of a for loop.
//!
//! `next().await` returns `None` at the end, where Python raises `StopAsyncIteration`. So
//! `anext(it, default)` is `unwrap_or(default)`. `let else` leaves the function if
//! nothing comes. A labelled block gives a loop the else that it has in Python.
//!
//! Trap: If you write `unwrap_or(fetch().await)`, the default is fetched even if it is
//! not needed, as in `anext`. A `match` fetches it only at the end of the stream.
//!
//! See also: `generator`, `timeout_each`.
//!
//! asyncio: anext, anext(default), StopAsyncIteration, async for, break, else

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt};
use tokio::time::sleep;

/// Yields the rows, each followed by a pause of 100 ms.
fn rows<'a>(rows: &'a [&'a str]) -> impl Stream<Item = &'a str> {
    stream! {
        for row in rows {
            yield *row;
            sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn ask_the_archive() -> &'static str {
    println!("asking the archive");
    sleep(Duration::from_millis(300)).await;
    "from the archive"
}

/// Returns the number of rows below the header.
pub async fn rows_below_header(rows: impl Stream<Item = &str>) -> usize {
    let mut rows = pin!(rows);
    let Some(header) = rows.next().await else {
        println!("not even a header");
        return 0;
    };
    println!("header: {header}");
    rows.count().await
}

#[tokio::main]
async fn main() {
    println!("The next or a default:");
    let mut names = pin!(rows(&["Ada"]));
    for _ in 0..2 {
        // await anext(names, "nobody")
        println!("{}", names.next().await.unwrap_or("nobody"));
    }

    println!("Leave the function if there is no next, else count the rest:");
    println!("{}", rows_below_header(rows(&["name", "Ada", "Eve"])).await);
    println!("{}", rows_below_header(rows(&[])).await);

    println!("A loop with an else:");
    for name in ["Eve", "Zoe"] {
        let mut rows = pin!(rows(&["Ada", "Eve Smith", "Bob"]));
        let greeted = 'search: {
            while let Some(row) = rows.next().await {
                if row.contains(name) {
                    break 'search row;
                }
            }
            println!("no {name} here");
            "stranger"
        };
        println!("hello, {greeted}");
    }

    println!("A default that must be awaited:");
    let mut names = pin!(rows(&["Ada"]));
    for _ in 0..2 {
        let name = match names.next().await {
            Some(name) => name,
            None => ask_the_archive().await,
        };
        println!("{name}");
    }
}
