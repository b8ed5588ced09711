//~ error lifetime may not live long enough
//! A closure whose future borrows the closure's argument.
//!
//! example: async_functions

use std::time::Duration;

use tokio::time::sleep;

#[tokio::main]
async fn main() {
    let shout = |word: &str| async move {
        sleep(Duration::from_millis(200)).await;
        word.to_uppercase()
    };
    println!("{} {}", shout("hello").await, shout("world").await);
}
