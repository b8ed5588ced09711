//~ clippy::let_underscore_must_use on an expression with `#[must_use]` type
//! `let _ =` releases the permit at once: nothing limits the call below.
//!
//! example: lints

#![deny(clippy::let_underscore_must_use)]

use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

#[tokio::main]
async fn main() {
    let permits = Semaphore::new(2);
    let _ = permits.acquire().await;
    sleep(Duration::from_millis(100)).await;
}
