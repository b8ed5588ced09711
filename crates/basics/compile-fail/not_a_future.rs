//~ E0277 `()` is not a future
//! A plain function is awaited.
//!
//! example: awaitables

use std::thread::sleep;
use std::time::Duration;

#[tokio::main]
async fn main() {
    sleep(Duration::from_secs(1)).await;
}
