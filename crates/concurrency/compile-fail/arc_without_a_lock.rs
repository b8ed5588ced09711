//~ E0594 cannot assign to data in an `Arc`
//! Two tasks share a count through an `Arc`, and there is no lock in it.
//!
//! example: lost_update

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

async fn increment(count: Arc<u32>) {
    sleep(Duration::from_millis(100)).await;
    *count += 1;
}

#[tokio::main]
async fn main() {
    let count = Arc::new(0);
    let first = tokio::spawn(increment(count.clone()));
    let second = tokio::spawn(increment(count.clone()));
    first.await.expect("the task does not fail");
    second.await.expect("the task does not fail");
    println!("{count}");
}
