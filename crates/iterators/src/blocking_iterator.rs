//! Read a blocking iterator as a stream: a file, a cursor, a generator of a library.
//!
//! `spawn_blocking` runs the iterator on a thread, and a bounded channel passes the items
//! to the stream (an async iterator). The thread reads ahead until the channel is full.
//! Python's `asyncio.to_thread(next, items, END)` reads on demand, with a thread call for
//! each item.
//!
//! Bounds: The channel holds at most `CAPACITY` items. Then the thread waits, with one
//! more item. Each stream uses one thread.
//!
//! Trap: If you drop the stream, the thread stops only after its current item. An
//! iterator that hangs keeps the thread, and the program cannot exit. Give such an
//! iterator its own time limit, such as the read timeout of a socket.
//!
//! Trap: If you read only the channel and the iterator panics, the stream seems to end,
//! because the panic drops the sender. Also await the thread's handle, as
//! `blocking_stream` does. Then the panic continues in the consumer.
//!
//! See also: `channel_stream`, `blocking_vs_async`, `async_files`.
//!
//! asyncio: asyncio.to_thread, async for, yield

use std::time::Duration;

use async_stream::stream;
use futures::Stream;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How many items the channel holds.
const CAPACITY: usize = 16;

/// Yields the items of an iterator that blocks. Nothing runs before the first poll.
///
/// # Panics
///
/// If the iterator panics, or outside a runtime.
pub fn blocking_stream<I>(items: I) -> impl Stream<Item = I::Item>
where
    I: IntoIterator<Item: Send + 'static> + Send + 'static,
{
    stream! {
        let (sender, mut receiver) = mpsc::channel(CAPACITY);
        let thread = spawn_blocking(move || {
            for item in items {
                if sender.blocking_send(item).is_err() {
                    break;
                }
            }
        });
        while let Some(item) = receiver.recv().await {
            yield item;
        }
        if let Some(Ok(panic)) = thread.await.err().map(|error| error.try_into_panic()) {
            std::panic::resume_unwind(panic);
        }
    }
}

/// Returns an iterator that blocks its thread for 300 ms before each line.
fn lines() -> impl Iterator<Item = String> + Send {
    (1..=3).map(|number| {
        std::thread::sleep(Duration::from_millis(300));
        format!("line {number}")
    })
}

#[tokio::main]
async fn main() {
    use futures::StreamExt as _;

    println!("Nothing else has to wait:");
    let read = async {
        let mut lines = std::pin::pin!(blocking_stream(lines()));
        while let Some(line) = lines.next().await {
            println!("{line}");
        }
        println!("the end");
    };
    let work = async {
        sleep(Duration::from_millis(450)).await;
        println!("something else");
    };
    tokio::join!(read, work);

    println!("Only the first line:");
    let mut first = std::pin::pin!(blocking_stream(lines()).take(1));
    while let Some(line) = first.next().await {
        println!("{line}");
    }
    sleep(Duration::from_secs(1)).await;
    println!("1 s later");
}

//@ clock: real
