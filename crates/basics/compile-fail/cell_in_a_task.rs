//~ error future cannot be sent between threads safely
//! Tasks share a `Cell`, and two threads could change it at the same time.
//!
//! example: interleaving

use std::cell::Cell;
use std::sync::Arc;

async fn add(total: Arc<Cell<u32>>, amount: u32) {
    total.set(total.get() + amount);
}

#[tokio::main]
async fn main() {
    let total = Arc::new(Cell::new(0));
    let task = tokio::spawn(add(Arc::clone(&total), 1));
    task.await.expect("the task does not fail");
}
