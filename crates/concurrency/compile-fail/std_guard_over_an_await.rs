//~ error the trait `Send` is not implemented for `std::sync::MutexGuard<'_, u32>`
//! A guard of a `std::sync::Mutex` is held over an await in a task.
//!
//! example: lock

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

async fn increment(count: Arc<Mutex<u32>>) {
    let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
    sleep(Duration::from_millis(100)).await;
    *count += 1;
}

#[tokio::main]
async fn main() {
    let count = Arc::new(Mutex::new(0));
    let task = tokio::spawn(increment(count.clone()));
    task.await.expect("the task does not fail");
    println!("{count:?}");
}
