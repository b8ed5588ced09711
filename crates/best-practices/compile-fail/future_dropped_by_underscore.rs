//~ clippy::let_underscore_future non-binding `let` on a future
//! `let _ =` silences the compiler's warning, and drops the future before it runs.
//!
//! example: lints

#![deny(clippy::let_underscore_future)]

use std::time::Duration;

use tokio::time::sleep;

async fn save() {
    sleep(Duration::from_millis(100)).await;
    println!("saved");
}

#[tokio::main]
async fn main() {
    let _ = save();
}
