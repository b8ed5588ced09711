//~ E0034 multiple applicable items in scope
//! The `StreamExt` of futures and that of tokio-stream in one file.
//!
//! example: timeout_each

use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio_stream::StreamExt as _;

#[tokio::main]
async fn main() {
    let limit = Duration::from_millis(300);
    let mut replies = Box::pin(stream::iter([1, 2]).timeout(limit));
    while let Some(reply) = replies.next().await {
        println!("{reply:?}");
    }
}
