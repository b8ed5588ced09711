//~ error future cannot be sent between threads safely
//! A `match` on a locked value: the guard lives until the end of the `match`.
//!
//! example: share_state

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;

#[tokio::main]
async fn main() {
    let stock = Arc::new(Mutex::new(HashMap::from([("apple", 2)])));
    let task = tokio::spawn(async move {
        match stock
            .lock()
            .expect("nobody panics with the lock")
            .get("apple")
            .copied()
        {
            Some(left) => {
                sleep(Duration::from_millis(100)).await;
                println!("{left} left");
            }
            None => println!("Sold out"),
        }
    });
    task.await.expect("the task does not fail");
}
