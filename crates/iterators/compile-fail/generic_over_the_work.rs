//~ E0277 `F` cannot be sent between threads safely
//! A pipeline in a task, generic over the work.
//!
//! example: stream_processor

use futures::{Stream, StreamExt};
use tokio::task::JoinHandle;

fn process_all<F, Fut>(
    records: impl Stream<Item = u32> + Send + 'static,
    process: F,
) -> JoinHandle<()>
where
    // Cure: `+ Send`.
    F: Fn(u32) -> Fut + 'static,
    Fut: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(records.map(process).buffered(5).for_each(async |_| {}))
}

#[tokio::main]
async fn main() {
    let records = futures::stream::iter([1, 2]);
    println!("{:?}", process_all(records, async |record| record).await);
}
