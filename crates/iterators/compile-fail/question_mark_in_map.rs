//~ E0277 the `?` operator can only be used in a closure that returns `Result` or `Option`
//! A source that may fail, and `?` in the closure that starts a task for each record.
//!
//! example: stream_processor

use std::io;

use futures::{Stream, StreamExt};
use tokio::task::JoinHandle;

async fn process(record: u32) -> io::Result<u32> {
    Ok(2 * record)
}

fn spawned(
    records: impl Stream<Item = io::Result<u32>>,
) -> impl Stream<Item = JoinHandle<io::Result<u32>>> {
    // Cure: `tokio::spawn(async move { process(record?).await })`.
    records.map(|record| tokio::spawn(process(record?)))
}

fn main() {
    drop(spawned(futures::stream::iter([Ok(1)])));
}
