//~ E0308 expected `tokio::time::Instant`, found `std::time::Instant`
//! A time of std's clock is given to a timer of Tokio, whose clock a test can pause.
//!
//! example: timers

use std::time::{Duration, Instant};

#[tokio::main]
async fn main() {
    let deadline = Instant::now() + Duration::from_secs(1);
    tokio::time::sleep_until(deadline).await;
}
