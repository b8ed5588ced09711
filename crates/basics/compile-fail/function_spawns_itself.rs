//~ E0283 cannot satisfy `impl Future<Output = ()>: Send`
//! An async function spawns itself as a task.
//!
//! example: recursion

use std::time::Duration;

use tokio::time::sleep;

async fn countdown(number: u32) {
    println!("{number}");
    sleep(Duration::from_millis(100)).await;
    if number > 0 {
        let task = tokio::spawn(countdown(number - 1));
        task.await.expect("the task does not fail");
    }
}

#[tokio::main]
async fn main() {
    countdown(3).await;
}
