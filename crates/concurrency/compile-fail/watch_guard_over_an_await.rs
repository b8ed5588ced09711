//~ error future cannot be sent between threads safely
//! The guard that a watch channel lends is held over an await.
//!
//! example: watch_a_value

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

async fn draw(degrees: watch::Receiver<u32>) {
    let now = degrees.borrow();
    sleep(Duration::from_millis(250)).await;
    println!("drawn {}", *now);
}

#[tokio::main]
async fn main() {
    let (_sender, degrees) = watch::channel(20);
    let task = tokio::spawn(draw(degrees));
    task.await.expect("the task does not fail");
}
