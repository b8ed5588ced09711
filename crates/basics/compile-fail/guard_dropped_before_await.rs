//~ error future cannot be sent between threads safely
//! A task drops the guard of a std `Mutex` by hand before it awaits.
//!
//! example: share_state

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;

#[tokio::main]
async fn main() {
    let total = Arc::new(Mutex::new(0));
    let task = tokio::spawn(async move {
        let mut guard = total.lock().expect("nobody panics with the lock");
        *guard += 1;
        drop(guard);
        sleep(Duration::from_millis(100)).await;
    });
    task.await.expect("the task does not fail");
}
