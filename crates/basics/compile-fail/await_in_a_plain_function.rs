//~ E0728 `await` is only allowed inside `async` functions and blocks
//! An await outside of an async function.
//!
//! example: awaitables

use std::time::Duration;

use tokio::time::sleep;

fn wait() {
    sleep(Duration::from_secs(1)).await;
}

#[tokio::main]
async fn main() {
    wait();
}
