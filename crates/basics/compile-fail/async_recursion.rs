//~ E0733 recursion in an async fn requires boxing
//! An async function awaits itself without a box.
//!
//! example: recursion

use std::time::Duration;

use tokio::time::sleep;

async fn countdown(number: u32) {
    println!("{number}");
    sleep(Duration::from_millis(100)).await;
    if number > 0 {
        countdown(number - 1).await;
    }
}

#[tokio::main]
async fn main() {
    countdown(3).await;
}
