//~ E0752 `main` function is not allowed to be `async`
//! An async main without the line that starts a runtime.
//!
//! example: hello_async

use std::time::Duration;

use tokio::time::sleep;

async fn main() {
    println!("Hello");
    sleep(Duration::from_secs(1)).await;
    println!("World");
}
