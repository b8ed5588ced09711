//~ error future cannot be sent between threads safely
//! A guard of a span that is held over an await, in a spawned task.
//!
//! example: structured_logging

use std::time::Duration;

use tokio::time::sleep;
use tracing::info_span;

#[tokio::main]
async fn main() {
    let task = tokio::spawn(async {
        let _entered = info_span!("request").entered();
        sleep(Duration::from_secs(1)).await;
    });
    let _ = task.await;
}
