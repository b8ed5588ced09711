//~ E0596 cannot borrow data in an `Arc` as mutable
//! A task changes a table that it shares: put the table into a `Mutex`.
//!
//! example: spawn_tasks

use std::sync::Arc;

#[tokio::main]
async fn main() {
    let delays = Arc::new(vec![300, 100, 200]);
    let task = tokio::spawn(async move {
        delays.push(400);
    });
    task.await.expect("the task does not fail");
}
